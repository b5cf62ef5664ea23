# The dashboards and monitors of the package, as they are: the JSON files are the one source.
locals {
  package = "${path.module}/../../metta_checks"

  all_dashboards = {
    for file in fileset("${local.package}/board/dashboards", "*.json") :
    trimsuffix(file, ".json") => file("${local.package}/board/dashboards/${file}")
  }

  dashboards = {
    for name, dashboard in local.all_dashboards : name => dashboard
    if var.dashboards == null ? true : contains(var.dashboards, name)
  }

  all_monitors = {
    for file in fileset("${local.package}/board/monitors", "*.json") :
    trimsuffix(file, ".json") => jsondecode(file("${local.package}/board/monitors/${file}"))
  }

  # An optional monitor is created only when it is named.
  monitors = {
    for name, monitor in local.all_monitors : name => monitor
    if var.monitors == null ? !contains(monitor.tags, "optional:true") : contains(var.monitors, name)
  }

  unknown_dashboards = var.dashboards == null ? [] : setsubtract(var.dashboards, keys(local.all_dashboards))
  unknown_monitors   = var.monitors == null ? [] : setsubtract(var.monitors, keys(local.all_monitors))

  # The files have the address of Datadog's US1 site, and a place for the runbook's: see board/library.py.
  app = "https://${length(split(".", var.site)) > 2 ? "" : "app."}${var.site}"
  messages = {
    for name, monitor in local.monitors :
    name => replace(
      var.runbook_url == "" ? replace(monitor.message, " · [Runbook](https://example.com/runbook)", "") :
      replace(monitor.message, "https://example.com/runbook", var.runbook_url),
    "https://app.datadoghq.com", local.app)
  }

  handles = {
    for name, monitor in local.monitors :
    name => contains(monitor.tags, "urgency:page") ? var.page_to : var.ticket_to
  }
}

resource "datadog_dashboard_json" "board" {
  for_each  = local.dashboards
  dashboard = each.value
}

resource "datadog_monitor_json" "monitor" {
  for_each = local.monitors
  monitor = jsonencode(merge(each.value, {
    message = trimspace("${local.messages[each.key]}\n\n${local.handles[each.key]}")
    tags    = concat(each.value.tags, var.monitor_tags)
  }))
}
