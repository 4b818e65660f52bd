//! `--fixtures docs`: the objects that the public documentation's examples refer to, so that its sample code runs as printed.

use dewpoint_api::{SshKeyId, VpcId};
use dewpoint_store::{Sequence, SshKeyRecord, Tx, VpcRecord, accounts, counters, ssh_keys, vpcs};
use uuid::Uuid;

use crate::{Control, Error};

/// The documented SSH key's number and fingerprint. No public key is known for it: its Droplets let nobody in by it.
const KEY: (u64, &str) = (289_794, "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45");
/// The documented VPC, in nyc3 and not its default.
const VPC: Uuid = Uuid::from_u128(0x760e_09ef_dc84_11e8_981e_3cfd_feaa_e000);

impl Control {
    /// Adds the documented objects to the first account; those that are there already stay as they are.
    pub async fn load_documented_fixtures(&self) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let account = accounts::account_first(tx)?.ok_or(Error::NotFound)?.id;
                let id = SshKeyId(KEY.0);
                if ssh_keys::ssh_key_get(tx, account, id)?.is_none() {
                    let key = SshKeyRecord {
                        id,
                        name: "My SSH Public Key".to_owned(),
                        fingerprint: KEY.1.to_owned(),
                        public_key: String::new(),
                    };
                    ssh_keys::ssh_key_insert(tx, account, &key)?;
                    counters::keep_above(tx, Sequence::SshKey, KEY.0)?;
                }
                let id = VpcId(VPC);
                if vpcs::vpc_get(tx, account, id)?.is_none() {
                    let vpc = VpcRecord {
                        id,
                        region: "nyc3".into(),
                        name: "env.prod-vpc".to_owned(),
                        description: String::new(),
                        ip_range: "10.10.10.0/24".to_owned(),
                        is_default: false,
                        created_at: now,
                    };
                    vpcs::vpc_insert(tx, account, &vpc)?;
                }
                Ok(())
            })
            .await
    }
}
