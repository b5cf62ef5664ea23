# Generated from spec.yaml by .ci/generate; do not edit.

def shared_skip_proxy():
    return False


def shared_timeout():
    return 10


def instance_allow_redirects():
    return True


def instance_api_key_secret():
    return 'wandb/api-key'


def instance_auth_type():
    return 'basic'


def instance_collection_timeout():
    return 60


def instance_completed_runs():
    return '1h'


def instance_completed_tags():
    return []


def instance_disable_generic_tags():
    return False


def instance_distributions():
    return True


def instance_empty_default_hostname():
    return False


def instance_enable_legacy_tags_normalization():
    return True


def instance_events():
    return False


def instance_full_refresh():
    return '1h'


def instance_gpu_devices():
    return 'visible'


def instance_kerberos_auth():
    return 'disabled'


def instance_kerberos_delegate():
    return False


def instance_kerberos_force_initiate():
    return False


def instance_log_requests():
    return False


def instance_max_pages():
    return 100


def instance_max_response_bytes():
    return 16777216


def instance_max_runs():
    return 500


def instance_metrics():
    return ['overview/reward', 'env_agent/heart.gained', 'skypilot/queue_latency_s']


def instance_min_collection_interval():
    return 15


def instance_page_size():
    return 1000


def instance_persist_connections():
    return False


def instance_request_size():
    return 16


def instance_run_tags():
    return []


def instance_run_types():
    return [{'name': 'train', 'pattern': '^github\\.sky\\.'}, {'name': 'sweep', 'pattern': '(?i)sweep'}]


def instance_skip_proxy():
    return False


def instance_sps_keys():
    return ['overview/steps_per_second', 'overview/sps']


def instance_system_metrics():
    return ['gpu_utilization', 'gpu_memory_utilization']


def instance_timeframe():
    return '7d'


def instance_timeout():
    return 10


def instance_tls_ignore_warning():
    return False


def instance_tls_use_host_header():
    return False


def instance_tls_verify():
    return True


def instance_use_legacy_auth_encoding():
    return True
