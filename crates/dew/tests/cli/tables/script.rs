//! What the snapshots of tables show: commands in order, a snapshot a script. Ids are then the same each time.
//! What nobody can foresee is left out by `--format`: how much of a volume is written.

/// Before this line is run, that command has to print that word: what goes on by itself has come so far.
pub(super) const WAITS: [(&str, &str, &str); 3] = [
    ("vpcs peerings list", "vpcs peerings get both", "ACTIVE"),
    ("firewall list", "firewall list", "succeeded"),
    ("usage", "usage", "dewpoint-scripted"),
];

pub(super) const SCRIPTS: [(&str, &str); 17] = [
    (
        "ssh-keys",
        r#"
        ssh-key create me --public-key "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"
        ssh-key list
        ssh-key get me --format Name,PublicKey
        ssh-key import other --public-key-file ~/other.pub
        ssh-key update me --key-name mine
        ssh-key update mine --key-name me
        "#,
    ),
    (
        "networks",
        r#"
        vpcs create --name left --region nyc3 --ip-range 10.10.0.0/20
        vpcs create --name right --region nyc3 --ip-range 10.20.0.0/20
        vpcs get left --format Name,IPRange,Region,Default
        vpcs get right
        vpcs update right --description "the other side"
        vpcs replace right --name right --description other
        vpcs list
        vpcs peerings create both --vpc-ids left,right
        vpcs peerings list
        vpcs peerings get both
        vpcs peerings update both --name joined
        vpcs peerings list-of-vpc left
        vpcs peerings update-of-vpc left joined --name both
        vpcs create --name third --region nyc3 --ip-range 10.30.0.0/20
        vpcs peerings create-from-vpc left --name again --vpc-id third
        "#,
    ),
    (
        "droplets",
        r#"
        droplet create web-1 --size s-1vcpu-1gb --image ubuntu-24-04-x64 --region nyc3 --ssh-keys me --tag-names web,prod --enable-ipv6 --enable-backups --backup-policy-plan daily --backup-policy-hour 4 --vpc-uuid left --wait
        droplet list
        droplet get web-1 --format ID,Name,SizeSlug,Created,Locked
        droplet-action snapshot web-1 --snapshot-name before --wait
        droplet snapshots web-1
        droplet backups web-1
        droplet kernels web-1
        droplet actions web-1
        droplet backup-policies get web-1
        droplet backup-policies list
        droplet backup-policies list-supported
        vpcs members left
        "#,
    ),
    (
        "volumes",
        r#"
        volume create data --region nyc3 --size 5GiB --fs-type ext4 --tag web
        volume-action attach data web-1 --wait
        volume list
        volume get data
        volume snapshot data --snapshot-name data-before --format Name,CreatedAt,Regions,ResourceId,ResourceType,MinDiskSize,Tags
        volume snapshots data --format Name,CreatedAt,Regions,ResourceId,ResourceType,MinDiskSize,Tags
        volume get-snapshot data-before --format Name,CreatedAt,Regions,ResourceId,ResourceType,MinDiskSize,Tags
        volume-action list data
        volume-action get data --action-id {volume-action list data:ID}
        volume-action resize data --size 6GiB --wait
        volume-action detach data web-1 --wait
        volume-action by-name data web-1 --type attach --region nyc3 --wait
        "#,
    ),
    (
        "snapshots",
        "snapshot list --resource droplet\nsnapshot list --resource volume --format Name,CreatedAt,Regions,ResourceId,ResourceType,MinDiskSize,Tags\nsnapshot get before",
    ),
    (
        "images",
        r#"
        compute image list-user
        compute image get ubuntu-24-04-x64 --format Slug,Distribution,Public,Status
        compute image list --format Slug
        compute image list-distribution --format Slug,Type
        compute image list-application --format Slug,Type
        compute image update {compute image list-user:ID} --image-name kept
        image-action transfer {compute image list-user:ID} --region sfo3 --wait
        image-action list {compute image list-user:ID}
        image-action get {compute image list-user:ID} --action-id {action list:ID}
        compute image create fetched --image-url http://127.0.0.1:1/disk.qcow2 --region nyc3
        "#,
    ),
    (
        "tags",
        r#"
        tag create spare
        tag list --format Name,DropletCount,VolumeCount,Count
        tag get prod
        "#,
    ),
    ("catalogue", "region list\n-o csv size list --format Slug,Memory,PriceMonthly,GPUs\nsize list --format Slug,GPUs"),
    (
        "domains",
        r#"
        domain create example.com
        domain list
        domain get example.com
        domain records create example.com --record-type MX --record-name @ --record-data mail.example.com. --record-priority 10
        domain records create example.com --record-type A --record-name www --record-data 192.0.2.7
        domain records list example.com
        domain records get example.com --record-id {domain records list example.com --record-type MX:ID}
        domain records update example.com --record-id {domain records list example.com --record-type MX:ID} --record-priority 20
        domain records replace example.com --record-id {domain records list example.com --record-type A:ID} --record-type A --record-name www --record-data 192.0.2.8
        "#,
    ),
    (
        "firewalls",
        r#"
        firewall create web --tag-names web --inbound-rules "protocol:tcp,ports:22,address:10.0.0.0/8 protocol:icmp,address:::/0"
        firewall list
        firewall get web --format Name,Status
        firewall list-by-droplet web-1 --format Name,DropletIDs,Tags
        droplet firewalls web-1
        firewall update web --name web --tag-names prod --outbound-rules protocol:tcp,ports:all,address:0.0.0.0/0
        "#,
    ),
    (
        "addresses",
        r#"
        reserved-ip create --region nyc3
        reserved-ip list
        reserved-ip get {reserved-ip list:IP}
        reserved-ip-action assign {reserved-ip list:IP} web-1 --wait
        reserved-ip-action list {reserved-ip list:IP}
        reserved-ip-action get {reserved-ip list:IP} --action-id {action list:ID}
        reserved-ip-action unassign {reserved-ip list:IP} --wait
        floating-ip list
        floating-ip get {floating-ip list:IP}
        floating-ip-action assign {floating-ip list:IP} web-1 --wait
        floating-ip-action list {floating-ip list:IP}
        floating-ip-action get {floating-ip list:IP} --action-id {action list:ID}
        floating-ip-action unassign {floating-ip list:IP} --wait
        floating-ip create --droplet-id web-1
        reserved-ipv6 create --region nyc3
        reserved-ipv6 list
        reserved-ipv6 get {reserved-ipv6 list:IP}
        reserved-ipv6-action assign {reserved-ipv6 list:IP} web-1 --wait
        reserved-ipv6-action unassign {reserved-ipv6 list:IP} --wait
        "#,
    ),
    (
        "projects",
        r#"
        projects create --name shop --purpose "Web Application" --environment Production
        projects list
        projects get default
        projects get shop
        projects update shop --description "sells things"
        projects replace shop --name shop --purpose Website --description less --environment Staging --is_default=false
        projects resources list default
        projects resources assign shop --resource do:droplet:100001
        "#,
    ),
    (
        "account",
        r#"
        account get
        account ratelimit
        account create others --email others@example.com
        account list
        token create reads --scopes read
        token list --format Name,Scopes,Expires
        auth list
        "#,
    ),
    (
        "models",
        r#"
        model-key create bot
        model-key list
        model-key update bot --name robot
        model-key regenerate robot --force
        model-key limit robot --requests-per-minute 60 --tokens-per-day 100000
        model-key limits robot
        gradient list-models --format ID,Name
        chat dewpoint-scripted "count to 3"
        usage
        embeddings dewpoint-scripted "a cat" "a dog, two dogs"
        model add served --droplets-tag nobody --port 8000
        model list
        model get served
        "#,
    ),
    (
        "droplet-actions",
        r#"
        droplet create next-1 --size s-1vcpu-1gb --image ubuntu-24-04-x64 --region nyc3 --wait
        droplet neighbors web-1
        droplet neighbor-ids
        droplet-action power-off next-1 --wait
        droplet-action resize next-1 --size s-1vcpu-2gb --resize-disk --wait
        droplet-action power-on next-1 --wait
        droplet-action get next-1 --action-id {droplet actions next-1:ID}
        droplet-action reboot next-1 --wait
        droplet-action power-cycle next-1 --wait
        droplet-action shutdown next-1 --wait
        droplet-action power-on next-1 --wait
        droplet-action password-reset next-1 --wait
        droplet-action password next-1 --format SetAt
        droplet-action rename next-1 --droplet-name then-1 --wait
        droplet-action rebuild then-1 --image ubuntu-22-04-x64 --force --wait
        droplet-action snapshot then-1 --snapshot-name then --wait
        droplet-action restore then-1 --image-id {droplet snapshots then-1:ID} --force
        image-action convert {droplet snapshots then-1:ID}
        droplet-action enable-backups then-1 --wait
        droplet-action change-backup-policy then-1 --backup-policy-plan weekly --backup-policy-weekday MON --backup-policy-hour 4 --wait
        droplet-action disable-backups then-1 --wait
        droplet-action enable-ipv6 then-1 --wait
        droplet-action enable-private-networking then-1 --wait
        droplet-action change-kernel then-1 --kernel-id 1
        droplet-action by-tag --tag-name prod --type power_cycle --wait
        "#,
    ),
    (
        "associated",
        r#"
        droplet associated list web-1 --format Kind,ID,Name
        droplet associated destroy then-1 --all --force
        droplet associated status 100002
        "#,
    ),
    (
        "actions",
        r#"
        action list --resource-type volume
        action list --action-type create --resource-type droplet
        action get {action list:ID}
        action wait {action list:ID}
        "#,
    ),
];
