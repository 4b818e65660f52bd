//! Every model reads its example in `spec/examples` and writes it back the same. The bodies are our own inventions.

use std::{collections::BTreeSet, fs, path::PathBuf};

use dewpoint_api::*;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/examples")
}

fn comes_back_equal<T: DeserializeOwned + Serialize + JsonSchema>(name: &'static str) -> &'static str {
    let path = folder().join(name).with_extension("json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let example: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} is no JSON: {error}"));
    let model: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} is no such model: {error}"));
    let written = serde_json::to_value(&model).unwrap_or_else(|error| panic!("{name} cannot be written: {error}"));
    assert_eq!(written, example, "{name} comes back different");
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let members = schema.get("properties").and_then(Value::as_object).expect("an object's schema has properties");
    for member in example.as_object().expect("a root object").keys() {
        assert!(members.contains_key(member), "{name}: the schema lacks {member}");
    }
    name
}

#[test]
fn every_example_comes_back_equal_from_its_model_and_none_is_forgotten() {
    let tried = BTreeSet::from([
        comes_back_equal::<AccountResponse>("account"),
        comes_back_equal::<ActionResponse>("action"),
        comes_back_equal::<ActionsResponse>("actions"),
        comes_back_equal::<BackupPoliciesResponse>("backup_policies"),
        comes_back_equal::<BackupPolicyResponse>("backup_policy"),
        comes_back_equal::<DropletResponse>("droplet"),
        comes_back_equal::<DropletBackupsResponse>("droplet_backups"),
        comes_back_equal::<DropletResponse>("droplet_created"),
        comes_back_equal::<DropletSnapshotsResponse>("droplet_snapshots"),
        comes_back_equal::<DropletsResponse>("droplets"),
        comes_back_equal::<DropletsCreateResponse>("droplets_created"),
        comes_back_equal::<ErrorBody>("error"),
        comes_back_equal::<ImageResponse>("image"),
        comes_back_equal::<ImageActionResponse>("image_action"),
        comes_back_equal::<ImagesResponse>("images"),
        comes_back_equal::<Collection<Kernel>>("kernels"),
        comes_back_equal::<RegionsResponse>("regions"),
        comes_back_equal::<SizesResponse>("sizes"),
        comes_back_equal::<SnapshotResponse>("snapshot"),
        comes_back_equal::<SnapshotsResponse>("snapshots"),
        comes_back_equal::<SshKeyResponse>("ssh_key"),
        comes_back_equal::<SshKeysResponse>("ssh_keys"),
        comes_back_equal::<SupportedBackupPoliciesResponse>("supported_backup_policies"),
        comes_back_equal::<TagResponse>("tag"),
        comes_back_equal::<TagsResponse>("tags"),
        comes_back_equal::<TokenCreateResponse>("token_created"),
        comes_back_equal::<TokensResponse>("tokens"),
        comes_back_equal::<VolumeResponse>("volume"),
        comes_back_equal::<VolumesResponse>("volumes"),
        comes_back_equal::<VpcResponse>("vpc"),
        comes_back_equal::<VpcMembersResponse>("vpc_members"),
        comes_back_equal::<VpcsResponse>("vpcs"),
    ]);
    let files = fs::read_dir(folder()).expect("the folder of examples is there");
    for file in files {
        let path = file.expect("a readable entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain file name");
        assert!(tried.contains(name), "no model tries {name}");
    }
}

#[test]
fn what_is_serialised_beforehand_reads_the_same_as_the_value() {
    let path = folder().join("droplet.json");
    let text = fs::read_to_string(path).expect("the example is there");
    let mut response: DropletResponse = serde_json::from_str(&text).expect("a Droplet");
    let plain = serde_json::to_string(&response).expect("plain data");

    let droplet = &mut response.droplet;
    droplet.size = Embedded::raw(droplet.size.value().expect("read as a value")).expect("plain data");
    droplet.region = Embedded::raw(droplet.region.value().expect("read as a value")).expect("plain data");
    let image = droplet.image.as_ref().and_then(Embedded::value).expect("read as a value");
    droplet.image = Some(Embedded::raw(image).expect("plain data"));

    assert_eq!(serde_json::to_string(&response).expect("plain data"), plain);
    let again: DropletResponse = serde_json::from_str(&plain).expect("a Droplet");
    assert_eq!(again, response);
}

#[test]
fn a_raw_region_survives_the_flattened_image_action() {
    let path = folder().join("image_action.json");
    let text = fs::read_to_string(path).expect("the example is there");
    let mut action: Action = serde_json::from_str(&text).expect("the flat members are an action");
    let region = action.region.as_ref().and_then(Embedded::value).expect("read as a value");
    action.region = Some(Embedded::raw(region).expect("plain data"));

    let written = serde_json::to_string(&ImageActionResponse::from(action)).expect("plain data");

    let example: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), example);
}
