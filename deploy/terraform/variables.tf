variable "dashboards" {
  description = "The dashboards to create, by file name without its ending. Null creates all of them."
  type        = set(string)
  default     = null
}

variable "monitors" {
  description = "The monitors to create, by file name without its ending. Null creates all but the optional ones (wandb_gpu_hours_lost), an empty set none."
  type        = set(string)
  default     = null
}

variable "page_to" {
  description = "Who is paged, such as @pagerduty-training. Empty: nobody."
  type        = string
  default     = ""
}

variable "ticket_to" {
  description = "Who is notified by the other monitors, such as @slack-training. Empty: nobody."
  type        = string
  default     = ""
}

variable "site" {
  description = "The Datadog site to which the links of the messages lead, such as datadoghq.eu."
  type        = string
  default     = "datadoghq.com"
}

variable "runbook_url" {
  description = "The address of your runbook, for the links of the messages. Empty: no link."
  type        = string
  default     = ""
}

variable "monitor_tags" {
  description = "Further tags on every monitor, such as team:training."
  type        = list(string)
  default     = []
}

variable "manage_metrics" {
  description = "Whether to set units, descriptions and percentiles. Datadog has to know the metrics: switch it on once the checks have reported."
  type        = bool
  default     = true
}

variable "instance_tags" {
  description = "The keys of the tags that the instances put on every series. Those of distributions that are not named stop being queryable."
  type        = set(string)
  default     = ["env", "service", "version", "team"]
}
