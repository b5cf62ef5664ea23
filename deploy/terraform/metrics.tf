# Units, descriptions and percentiles: Datadog reads no metadata.csv of a custom check.
locals {
  rows = flatten([
    for file in fileset(local.package, "*/metadata.csv") :
    csvdecode(file("${local.package}/${file}"))
  ])

  # What several checks emit stands in the file of each.
  metrics = { for name, rows in { for row in local.rows : row.metric_name => row... } : name => rows[0] }

  # Tags of the distributions. A list of tags is required, and what it leaves out cannot be queried any more.
  distribution_tags = {
    for name, row in local.metrics : name => split(",", row.sample_tags)
    if row.metric_type == "distribution"
  }
}

resource "datadog_metric_metadata" "metric" {
  for_each    = var.manage_metrics ? local.metrics : {}
  metric      = each.key
  type        = each.value.metric_type
  description = each.value.description
  short_name  = each.value.short_name
  unit        = each.value.unit_name == "" ? null : each.value.unit_name
  per_unit    = each.value.per_unit_name == "" ? null : each.value.per_unit_name
}

resource "datadog_metric_tag_configuration" "percentiles" {
  for_each            = var.manage_metrics ? local.distribution_tags : {}
  metric_name         = each.key
  metric_type         = "distribution"
  tags                = setunion(each.value, var.instance_tags)
  include_percentiles = true
}
