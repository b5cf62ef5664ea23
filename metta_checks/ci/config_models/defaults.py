# Generated from spec.yaml by .ci/generate; do not edit.

def shared_skip_proxy():
    return False


def shared_timeout():
    return 10


def instance_allow_redirects():
    return True


def instance_app_private_key_secret():
    return 'github/app-private-key'


def instance_auth_type():
    return 'basic'


def instance_benchmarks_workflows():
    return []


def instance_collection_timeout():
    return 60


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


def instance_exclude_workflows():
    return []


def instance_force_merge_labels():
    return ['force-merge', 'force_merge']


def instance_hotfix_labels():
    return ['hotfix']


def instance_jobs():
    return False


def instance_kerberos_auth():
    return 'disabled'


def instance_kerberos_delegate():
    return False


def instance_kerberos_force_initiate():
    return False


def instance_label_window():
    return '7d'


def instance_log_requests():
    return False


def instance_max_job_requests():
    return 60


def instance_max_pages():
    return 100


def instance_max_response_bytes():
    return 8388608


def instance_min_collection_interval():
    return 15


def instance_persist_connections():
    return False


def instance_queue():
    return True


def instance_request_size():
    return 16


def instance_revert_labels():
    return ['revert']


def instance_skip_proxy():
    return False


def instance_tests_blocking_merge_workflows():
    return []


def instance_timeout():
    return 10


def instance_tls_ignore_warning():
    return False


def instance_tls_use_host_header():
    return False


def instance_tls_verify():
    return True


def instance_token_secret():
    return 'github/dashboard-token'


def instance_use_legacy_auth_encoding():
    return True


def instance_window():
    return '24h'
