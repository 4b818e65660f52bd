//! The operations there are: id, method and path of each, in one table. The tests hold it against what the server serves.

use http::Method;

/// One operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its id in the public OpenAPI description; what begins with `dew_` is Dewpoint's own.
    pub id: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path, with the open places in braces.
    pub path: &'static str,
}

impl Operation {
    pub(crate) fn method(&self) -> Method {
        match self.method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => Method::DELETE,
        }
    }
}

/// Declares the operations, and the list of all of them.
macro_rules! operations {
    ($($name:ident = $id:literal $method:literal $path:literal;)+) => {
        /// Every operation that has a method here.
        pub const OPERATIONS: &[Operation] = &[$($name,)+];
        $(pub(crate) const $name: Operation = Operation { id: $id, method: $method, path: $path };)+
    };
}

operations! {
    INFERENCE_CREATE_CHAT_COMPLETION = "inference_create_chat_completion" "POST" "/v1/chat/completions";
    INFERENCE_CREATE_EMBEDDING = "inference_create_embedding" "POST" "/v1/embeddings";
    INFERENCE_LIST_MODELS = "inference_list_models" "GET" "/v1/models";
    GENAI_LIST_MODELS = "genai_list_models" "GET" "/v2/gen-ai/models";
    GENAI_LIST_MODEL_API_KEYS = "genai_list_model_api_keys" "GET" "/v2/gen-ai/models/api_keys";
    GENAI_CREATE_MODEL_API_KEY = "genai_create_model_api_key" "POST" "/v2/gen-ai/models/api_keys";
    GENAI_UPDATE_MODEL_API_KEY = "genai_update_model_api_key" "PUT" "/v2/gen-ai/models/api_keys/{api_key_uuid}";
    GENAI_DELETE_MODEL_API_KEY = "genai_delete_model_api_key" "DELETE" "/v2/gen-ai/models/api_keys/{api_key_uuid}";
    GENAI_REGENERATE_MODEL_API_KEY = "genai_regenerate_model_api_key" "PUT" "/v2/gen-ai/models/api_keys/{api_key_uuid}/regenerate";
    ACCOUNT_GET = "account_get" "GET" "/v2/account";
    SSH_KEYS_LIST = "sshKeys_list" "GET" "/v2/account/keys";
    SSH_KEYS_CREATE = "sshKeys_create" "POST" "/v2/account/keys";
    SSH_KEYS_GET = "sshKeys_get" "GET" "/v2/account/keys/{ssh_key_identifier}";
    SSH_KEYS_UPDATE = "sshKeys_update" "PUT" "/v2/account/keys/{ssh_key_identifier}";
    SSH_KEYS_DELETE = "sshKeys_delete" "DELETE" "/v2/account/keys/{ssh_key_identifier}";
    ACTIONS_LIST = "actions_list" "GET" "/v2/actions";
    ACTIONS_GET = "actions_get" "GET" "/v2/actions/{action_id}";
    DROPLETS_LIST = "droplets_list" "GET" "/v2/droplets";
    DROPLETS_CREATE = "droplets_create" "POST" "/v2/droplets";
    DROPLETS_DESTROY_BY_TAG = "droplets_destroy_byTag" "DELETE" "/v2/droplets";
    DROPLETS_GET = "droplets_get" "GET" "/v2/droplets/{droplet_id}";
    DROPLETS_DESTROY = "droplets_destroy" "DELETE" "/v2/droplets/{droplet_id}";
    DROPLETS_LIST_BACKUPS = "droplets_list_backups" "GET" "/v2/droplets/{droplet_id}/backups";
    DROPLETS_GET_BACKUP_POLICY = "droplets_get_backup_policy" "GET" "/v2/droplets/{droplet_id}/backups/policy";
    DROPLETS_LIST_BACKUP_POLICIES = "droplets_list_backup_policies" "GET" "/v2/droplets/backups/policies";
    DROPLETS_LIST_SUPPORTED_BACKUP_POLICIES = "droplets_list_supported_backup_policies" "GET" "/v2/droplets/backups/supported_policies";
    DROPLETS_LIST_SNAPSHOTS = "droplets_list_snapshots" "GET" "/v2/droplets/{droplet_id}/snapshots";
    DROPLET_ACTIONS_LIST = "dropletActions_list" "GET" "/v2/droplets/{droplet_id}/actions";
    DROPLET_ACTIONS_POST = "dropletActions_post" "POST" "/v2/droplets/{droplet_id}/actions";
    DROPLET_ACTIONS_POST_BY_TAG = "dropletActions_post_byTag" "POST" "/v2/droplets/actions";
    DROPLET_ACTIONS_GET = "dropletActions_get" "GET" "/v2/droplets/{droplet_id}/actions/{action_id}";
    IMAGES_LIST = "images_list" "GET" "/v2/images";
    IMAGES_CREATE_CUSTOM = "images_create_custom" "POST" "/v2/images";
    IMAGES_GET = "images_get" "GET" "/v2/images/{image_id}";
    IMAGES_UPDATE = "images_update" "PUT" "/v2/images/{image_id}";
    IMAGES_DELETE = "images_delete" "DELETE" "/v2/images/{image_id}";
    IMAGE_ACTIONS_LIST = "imageActions_list" "GET" "/v2/images/{image_id}/actions";
    IMAGE_ACTIONS_POST = "imageActions_post" "POST" "/v2/images/{image_id}/actions";
    IMAGE_ACTIONS_GET = "imageActions_get" "GET" "/v2/images/{image_id}/actions/{action_id}";
    REGIONS_LIST = "regions_list" "GET" "/v2/regions";
    SIZES_LIST = "sizes_list" "GET" "/v2/sizes";
    SNAPSHOTS_LIST = "snapshots_list" "GET" "/v2/snapshots";
    SNAPSHOTS_GET = "snapshots_get" "GET" "/v2/snapshots/{snapshot_id}";
    SNAPSHOTS_DELETE = "snapshots_delete" "DELETE" "/v2/snapshots/{snapshot_id}";
    TAGS_LIST = "tags_list" "GET" "/v2/tags";
    TAGS_CREATE = "tags_create" "POST" "/v2/tags";
    TAGS_GET = "tags_get" "GET" "/v2/tags/{tag_id}";
    TAGS_DELETE = "tags_delete" "DELETE" "/v2/tags/{tag_id}";
    TAGS_ASSIGN_RESOURCES = "tags_assign_resources" "POST" "/v2/tags/{tag_id}/resources";
    TAGS_UNASSIGN_RESOURCES = "tags_unassign_resources" "DELETE" "/v2/tags/{tag_id}/resources";
    VOLUMES_LIST = "volumes_list" "GET" "/v2/volumes";
    VOLUMES_CREATE = "volumes_create" "POST" "/v2/volumes";
    VOLUMES_DELETE_BY_NAME = "volumes_delete_byName" "DELETE" "/v2/volumes";
    VOLUME_ACTIONS_POST = "volumeActions_post" "POST" "/v2/volumes/actions";
    VOLUME_SNAPSHOTS_GET_BY_ID = "volumeSnapshots_get_byId" "GET" "/v2/volumes/snapshots/{snapshot_id}";
    VOLUME_SNAPSHOTS_DELETE_BY_ID = "volumeSnapshots_delete_byId" "DELETE" "/v2/volumes/snapshots/{snapshot_id}";
    VOLUMES_GET = "volumes_get" "GET" "/v2/volumes/{volume_id}";
    VOLUMES_DELETE = "volumes_delete" "DELETE" "/v2/volumes/{volume_id}";
    VOLUME_ACTIONS_LIST = "volumeActions_list" "GET" "/v2/volumes/{volume_id}/actions";
    VOLUME_ACTIONS_POST_BY_ID = "volumeActions_post_byId" "POST" "/v2/volumes/{volume_id}/actions";
    VOLUME_ACTIONS_GET = "volumeActions_get" "GET" "/v2/volumes/{volume_id}/actions/{action_id}";
    VOLUME_SNAPSHOTS_LIST = "volumeSnapshots_list" "GET" "/v2/volumes/{volume_id}/snapshots";
    VOLUME_SNAPSHOTS_CREATE = "volumeSnapshots_create" "POST" "/v2/volumes/{volume_id}/snapshots";
    VPCS_LIST = "vpcs_list" "GET" "/v2/vpcs";
    VPCS_CREATE = "vpcs_create" "POST" "/v2/vpcs";
    VPCS_GET = "vpcs_get" "GET" "/v2/vpcs/{vpc_id}";
    VPCS_UPDATE = "vpcs_update" "PUT" "/v2/vpcs/{vpc_id}";
    VPCS_PATCH = "vpcs_patch" "PATCH" "/v2/vpcs/{vpc_id}";
    VPCS_DELETE = "vpcs_delete" "DELETE" "/v2/vpcs/{vpc_id}";
    VPCS_LIST_MEMBERS = "vpcs_list_members" "GET" "/v2/vpcs/{vpc_id}/members";
    DROPLETS_LIST_KERNELS = "droplets_list_kernels" "GET" "/v2/droplets/{droplet_id}/kernels";
    DROPLETS_LIST_FIREWALLS = "droplets_list_firewalls" "GET" "/v2/droplets/{droplet_id}/firewalls";
    DROPLETS_LIST_NEIGHBORS = "droplets_list_neighbors" "GET" "/v2/droplets/{droplet_id}/neighbors";
    DROPLETS_LIST_ASSOCIATED_RESOURCES = "droplets_list_associatedResources" "GET" "/v2/droplets/{droplet_id}/destroy_with_associated_resources";
    DROPLETS_DESTROY_WITH_ASSOCIATED_RESOURCES_SELECTIVE = "droplets_destroy_withAssociatedResourcesSelective" "DELETE" "/v2/droplets/{droplet_id}/destroy_with_associated_resources/selective";
    DROPLETS_DESTROY_WITH_ASSOCIATED_RESOURCES_DANGEROUS = "droplets_destroy_withAssociatedResourcesDangerous" "DELETE" "/v2/droplets/{droplet_id}/destroy_with_associated_resources/dangerous";
    DROPLETS_GET_DESTROY_ASSOCIATED_RESOURCES_STATUS = "droplets_get_DestroyAssociatedResourcesStatus" "GET" "/v2/droplets/{droplet_id}/destroy_with_associated_resources/status";
    DROPLETS_DESTROY_RETRY_WITH_ASSOCIATED_RESOURCES = "droplets_destroy_retryWithAssociatedResources" "POST" "/v2/droplets/{droplet_id}/destroy_with_associated_resources/retry";
    FIREWALLS_LIST = "firewalls_list" "GET" "/v2/firewalls";
    FIREWALLS_CREATE = "firewalls_create" "POST" "/v2/firewalls";
    FIREWALLS_GET = "firewalls_get" "GET" "/v2/firewalls/{firewall_id}";
    FIREWALLS_UPDATE = "firewalls_update" "PUT" "/v2/firewalls/{firewall_id}";
    FIREWALLS_DELETE = "firewalls_delete" "DELETE" "/v2/firewalls/{firewall_id}";
    FIREWALLS_ASSIGN_DROPLETS = "firewalls_assign_droplets" "POST" "/v2/firewalls/{firewall_id}/droplets";
    FIREWALLS_DELETE_DROPLETS = "firewalls_delete_droplets" "DELETE" "/v2/firewalls/{firewall_id}/droplets";
    FIREWALLS_ADD_TAGS = "firewalls_add_tags" "POST" "/v2/firewalls/{firewall_id}/tags";
    FIREWALLS_DELETE_TAGS = "firewalls_delete_tags" "DELETE" "/v2/firewalls/{firewall_id}/tags";
    FIREWALLS_ADD_RULES = "firewalls_add_rules" "POST" "/v2/firewalls/{firewall_id}/rules";
    FIREWALLS_DELETE_RULES = "firewalls_delete_rules" "DELETE" "/v2/firewalls/{firewall_id}/rules";
    FLOATING_IPS_LIST = "floatingIPs_list" "GET" "/v2/floating_ips";
    FLOATING_IPS_CREATE = "floatingIPs_create" "POST" "/v2/floating_ips";
    FLOATING_IPS_GET = "floatingIPs_get" "GET" "/v2/floating_ips/{floating_ip}";
    FLOATING_IPS_DELETE = "floatingIPs_delete" "DELETE" "/v2/floating_ips/{floating_ip}";
    FLOATING_IPS_ACTION_LIST = "floatingIPsAction_list" "GET" "/v2/floating_ips/{floating_ip}/actions";
    FLOATING_IPS_ACTION_POST = "floatingIPsAction_post" "POST" "/v2/floating_ips/{floating_ip}/actions";
    FLOATING_IPS_ACTION_GET = "floatingIPsAction_get" "GET" "/v2/floating_ips/{floating_ip}/actions/{action_id}";
    DROPLETS_LIST_NEIGHBORS_IDS = "droplets_list_neighborsIds" "GET" "/v2/reports/droplet_neighbors_ids";
    RESERVED_IPS_LIST = "reservedIPs_list" "GET" "/v2/reserved_ips";
    RESERVED_IPS_CREATE = "reservedIPs_create" "POST" "/v2/reserved_ips";
    RESERVED_IPS_GET = "reservedIPs_get" "GET" "/v2/reserved_ips/{reserved_ip}";
    RESERVED_IPS_DELETE = "reservedIPs_delete" "DELETE" "/v2/reserved_ips/{reserved_ip}";
    RESERVED_IPS_ACTIONS_LIST = "reservedIPsActions_list" "GET" "/v2/reserved_ips/{reserved_ip}/actions";
    RESERVED_IPS_ACTIONS_POST = "reservedIPsActions_post" "POST" "/v2/reserved_ips/{reserved_ip}/actions";
    RESERVED_IPS_ACTIONS_GET = "reservedIPsActions_get" "GET" "/v2/reserved_ips/{reserved_ip}/actions/{action_id}";
    VPCS_LIST_PEERINGS = "vpcs_list_peerings" "GET" "/v2/vpcs/{vpc_id}/peerings";
    VPCS_CREATE_PEERINGS = "vpcs_create_peerings" "POST" "/v2/vpcs/{vpc_id}/peerings";
    VPCS_PATCH_PEERINGS = "vpcs_patch_peerings" "PATCH" "/v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}";
    VPC_PEERINGS_LIST = "vpcPeerings_list" "GET" "/v2/vpc_peerings";
    VPC_PEERINGS_CREATE = "vpcPeerings_create" "POST" "/v2/vpc_peerings";
    VPC_PEERINGS_GET = "vpcPeerings_get" "GET" "/v2/vpc_peerings/{vpc_peering_id}";
    VPC_PEERINGS_PATCH = "vpcPeerings_patch" "PATCH" "/v2/vpc_peerings/{vpc_peering_id}";
    VPC_PEERINGS_DELETE = "vpcPeerings_delete" "DELETE" "/v2/vpc_peerings/{vpc_peering_id}";
    DOMAINS_LIST = "domains_list" "GET" "/v2/domains";
    DOMAINS_CREATE = "domains_create" "POST" "/v2/domains";
    DOMAINS_GET = "domains_get" "GET" "/v2/domains/{domain_name}";
    DOMAINS_DELETE = "domains_delete" "DELETE" "/v2/domains/{domain_name}";
    DOMAINS_LIST_RECORDS = "domains_list_records" "GET" "/v2/domains/{domain_name}/records";
    DOMAINS_CREATE_RECORD = "domains_create_record" "POST" "/v2/domains/{domain_name}/records";
    DOMAINS_GET_RECORD = "domains_get_record" "GET" "/v2/domains/{domain_name}/records/{domain_record_id}";
    DOMAINS_PATCH_RECORD = "domains_patch_record" "PATCH" "/v2/domains/{domain_name}/records/{domain_record_id}";
    DOMAINS_UPDATE_RECORD = "domains_update_record" "PUT" "/v2/domains/{domain_name}/records/{domain_record_id}";
    DOMAINS_DELETE_RECORD = "domains_delete_record" "DELETE" "/v2/domains/{domain_name}/records/{domain_record_id}";
    PROJECTS_LIST = "projects_list" "GET" "/v2/projects";
    PROJECTS_CREATE = "projects_create" "POST" "/v2/projects";
    PROJECTS_GET_DEFAULT = "projects_get_default" "GET" "/v2/projects/default";
    PROJECTS_UPDATE_DEFAULT = "projects_update_default" "PUT" "/v2/projects/default";
    PROJECTS_PATCH_DEFAULT = "projects_patch_default" "PATCH" "/v2/projects/default";
    PROJECTS_GET = "projects_get" "GET" "/v2/projects/{project_id}";
    PROJECTS_UPDATE = "projects_update" "PUT" "/v2/projects/{project_id}";
    PROJECTS_PATCH = "projects_patch" "PATCH" "/v2/projects/{project_id}";
    PROJECTS_DELETE = "projects_delete" "DELETE" "/v2/projects/{project_id}";
    PROJECTS_LIST_RESOURCES = "projects_list_resources" "GET" "/v2/projects/{project_id}/resources";
    PROJECTS_ASSIGN_RESOURCES = "projects_assign_resources" "POST" "/v2/projects/{project_id}/resources";
    PROJECTS_LIST_RESOURCES_DEFAULT = "projects_list_resources_default" "GET" "/v2/projects/default/resources";
    PROJECTS_ASSIGN_RESOURCES_DEFAULT = "projects_assign_resources_default" "POST" "/v2/projects/default/resources";
    RESERVED_IPV6_LIST = "reservedIPv6_list" "GET" "/v2/reserved_ipv6";
    RESERVED_IPV6_CREATE = "reservedIPv6_create" "POST" "/v2/reserved_ipv6";
    RESERVED_IPV6_GET = "reservedIPv6_get" "GET" "/v2/reserved_ipv6/{reserved_ipv6}";
    RESERVED_IPV6_DELETE = "reservedIPv6_delete" "DELETE" "/v2/reserved_ipv6/{reserved_ipv6}";
    RESERVED_IPV6_ACTIONS_POST = "reservedIPv6Actions_post" "POST" "/v2/reserved_ipv6/{reserved_ipv6}/actions";
    DEW_ACCOUNTS_CREATE = "dew_accounts_create" "POST" "/dew/v1/accounts";
    DEW_ACCOUNTS_LIST = "dew_accounts_list" "GET" "/dew/v1/accounts";
    DEW_ACTIONS_GET = "dew_actions_get" "GET" "/dew/v1/actions/{action_id}";
    DEW_AUDIT_LIST = "dew_audit_list" "GET" "/dew/v1/audit";
    DEW_BACKUP_TAKE = "dew_backup_take" "POST" "/dew/v1/backup";
    DEW_CLOCK_GET = "dew_clock_get" "GET" "/dew/v1/clock";
    DEW_CLOCK_SET = "dew_clock_set" "PUT" "/dew/v1/clock";
    DEW_DELAYS_GET = "dew_delays_get" "GET" "/dew/v1/delays";
    DEW_DELAYS_SET = "dew_delays_set" "PUT" "/dew/v1/delays";
    DEW_DROPLETS_GET = "dew_droplets_get" "GET" "/dew/v1/droplets/{droplet_id}";
    DEW_DROPLETS_ACCESS = "dew_droplets_access" "GET" "/dew/v1/droplets/{droplet_id}/access";
    DEW_DROPLETS_PASSWORD = "dew_droplets_password" "GET" "/dew/v1/droplets/{droplet_id}/password";
    DEW_DROPLETS_CONSOLE = "dew_droplets_console" "GET" "/dew/v1/droplets/{droplet_id}/console";
    DEW_DROPLETS_CONSOLE_TYPE = "dew_droplets_console_type" "POST" "/dew/v1/droplets/{droplet_id}/console";
    DEW_EVENTS = "dew_events" "GET" "/dew/v1/events";
    DEW_FAULTS_ORDER = "dew_faults_order" "POST" "/dew/v1/faults";
    DEW_FAULTS_LIST = "dew_faults_list" "GET" "/dew/v1/faults";
    DEW_FAULTS_CLEAR = "dew_faults_clear" "DELETE" "/dew/v1/faults";
    DEW_FAULTS_DELETE = "dew_faults_delete" "DELETE" "/dew/v1/faults/{fault_id}";
    DEW_DROPLETS_METADATA = "dew_droplets_metadata" "GET" "/dew/v1/droplets/{droplet_id}/metadata";
    DEW_DROPLETS_METADATA_PATH = "dew_droplets_metadata_path" "GET" "/dew/v1/droplets/{droplet_id}/metadata/{*path}";
    DEW_MODEL_KEYS_LIMITS = "dew_model_keys_limits" "GET" "/dew/v1/model-keys/{api_key_uuid}/limits";
    DEW_MODEL_KEYS_LIMIT = "dew_model_keys_limit" "PUT" "/dew/v1/model-keys/{api_key_uuid}/limits";
    DEW_REACH = "dew_reach" "GET" "/dew/v1/reach";
    DEW_REQUESTS_LIST = "dew_requests_list" "GET" "/dew/v1/requests";
    DEW_REQUESTS_KEEP = "dew_requests_keep" "PUT" "/dew/v1/requests";
    DEW_REQUESTS_CLEAR = "dew_requests_clear" "DELETE" "/dew/v1/requests";
    DEW_RESET = "dew_reset" "POST" "/dew/v1/reset";
    DEW_SNAPSHOTS_LIST = "dew_snapshots_list" "GET" "/dew/v1/snapshots";
    DEW_SNAPSHOTS_TAKE = "dew_snapshots_take" "PUT" "/dew/v1/snapshots/{name}";
    DEW_SNAPSHOTS_RESTORE = "dew_snapshots_restore" "POST" "/dew/v1/snapshots/{name}/restore";
    DEW_SNAPSHOTS_DELETE = "dew_snapshots_delete" "DELETE" "/dew/v1/snapshots/{name}";
    DEW_STOCK_GET = "dew_stock_get" "GET" "/dew/v1/stock";
    DEW_STOCK_PUT = "dew_stock_put" "PUT" "/dew/v1/stock";
    DEW_STOCK_DELETE = "dew_stock_delete" "DELETE" "/dew/v1/stock";
    DEW_STOCK_PUT_BACK = "dew_stock_put_back" "DELETE" "/dew/v1/stock/parked/{host}/{gpu}";
    DEW_MODELS_ADD = "dew_models_add" "POST" "/dew/v1/models";
    DEW_MODELS_LIST = "dew_models_list" "GET" "/dew/v1/models";
    DEW_MODELS_GET = "dew_models_get" "GET" "/dew/v1/models/{name}";
    DEW_MODELS_DELETE = "dew_models_delete" "DELETE" "/dew/v1/models/{name}";
    DEW_TOKENS_CREATE = "dew_tokens_create" "POST" "/dew/v1/tokens";
    DEW_TOKENS_LIST = "dew_tokens_list" "GET" "/dew/v1/tokens";
    DEW_USAGE_LIST = "dew_usage_list" "GET" "/dew/v1/usage";
    DEW_TOKENS_REVOKE = "dew_tokens_revoke" "DELETE" "/dew/v1/tokens/{token_id}";
}
