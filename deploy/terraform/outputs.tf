output "dashboard_urls" {
  description = "The path of each dashboard on your Datadog site."
  value       = { for name, board in datadog_dashboard_json.board : name => board.url }
}

output "monitor_ids" {
  description = "The id of each monitor."
  value       = { for name, monitor in datadog_monitor_json.monitor : name => monitor.id }
}
