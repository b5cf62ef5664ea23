# The preconditions end a plan with a slip in a name: without them it would destroy what the name no longer selects.
output "dashboard_urls" {
  description = "The path of each dashboard on your Datadog site."
  value       = { for name, board in datadog_dashboard_json.board : name => board.url }

  precondition {
    condition     = length(local.unknown_dashboards) == 0
    error_message = "There is no dashboard ${join(", ", local.unknown_dashboards)}: see metta_checks/board/dashboards."
  }
}

output "monitor_ids" {
  description = "The id of each monitor."
  value       = { for name, monitor in datadog_monitor_json.monitor : name => monitor.id }

  precondition {
    condition     = length(local.unknown_monitors) == 0
    error_message = "There is no monitor ${join(", ", local.unknown_monitors)}: see metta_checks/board/monitors."
  }
}
