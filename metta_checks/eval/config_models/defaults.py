# Generated from spec.yaml by .ci/generate; do not edit.

def shared_skip_proxy():
    return False


def shared_timeout():
    return 10


def instance_allow_redirects():
    return True


def instance_annotation_tags():
    return ['commit', 'sha', 'run_id', 'run_url', 'version']


def instance_auth_type():
    return 'basic'


def instance_collection_timeout():
    return 60


def instance_disable_generic_tags():
    return False


def instance_empty_default_hostname():
    return False


def instance_enable_legacy_tags_normalization():
    return True


def instance_kerberos_auth():
    return 'disabled'


def instance_kerberos_delegate():
    return False


def instance_kerberos_force_initiate():
    return False


def instance_log_requests():
    return False


def instance_max_age():
    return '26h'


def instance_max_bytes():
    return 10485760


def instance_max_records():
    return 10000


def instance_min_collection_interval():
    return 15


def instance_persist_connections():
    return False


def instance_request_size():
    return 16


def instance_skip_proxy():
    return False


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
