use dewpoint_api::{Image, Region, Size};

use super::*;

const SMALL: &str = r#"
    [[regions]]
    slug = "lab1"
    name = "Lab 1"

    [[sizes]]
    slug = "s-1"
    description = "Basic"
    memory_mib = 1024
    vcpus = 1
    disk_gib = 10
    transfer_tib = 1.0
    price_monthly = 1.0
    price_hourly = 0.1
"#;

fn size(catalogue: &Catalogue, slug: &str) -> SizeEntry {
    catalogue.size(&slug.into()).unwrap_or_else(|| panic!("{slug} is in the catalogue")).clone()
}

fn refusal(text: &str) -> String {
    Catalogue::parse(text).expect_err("it is wrong").to_string()
}

#[test]
fn the_built_in_catalogue_has_what_the_real_clients_name() {
    let catalogue = Catalogue::built_in();
    let closed: Vec<&str> = catalogue
        .regions()
        .iter()
        .filter(|region| !region.spec.available)
        .map(|region| region.spec.slug.as_str())
        .collect();
    assert_eq!(closed, ["ams1", "ams2", "sfo1"]);
    for slug in ["nyc1", "nyc2", "nyc3", "sfo3", "atl1", "ric1", "tor1", "syd1"] {
        assert!(catalogue.region(&slug.into()).is_some_and(|region| region.spec.available), "{slug}");
    }
    for slug in ["ubuntu-20-04-x64", "ubuntu-22-04-x64", "gpu-h100x1-base", "debian-12-x64", "micro-x64"] {
        let image = catalogue.image_by_slug(&slug.into()).expect(slug);
        assert_eq!(catalogue.image(image.spec.id).map(|image| image.spec.slug.as_str()), Some(slug));
    }
    assert!(catalogue.sizes().len() > 20, "more than one page at the default");
    assert!(catalogue.region(&"xyz5".into()).is_none() && catalogue.region(&"foo".into()).is_none());
}

#[test]
fn slugs_are_found_in_any_case_pro_9() {
    let catalogue = Catalogue::built_in();
    assert!(catalogue.region(&"NYC3".into()).is_some());
    assert!(catalogue.size(&"S-1VCPU-1GB".into()).is_some());
    assert!(catalogue.image_by_slug(&"Ubuntu-22-04-x64".into()).is_some());
}

#[test]
fn prices_are_the_exact_decimals_that_clients_compare_pro_7() {
    let json = serde_json::to_string(&size(&Catalogue::built_in(), "s-1vcpu-1gb").to_wire()).expect("plain data");
    assert!(json.contains(r#""price_monthly":6.0,"price_hourly":0.00893,"#), "{json}");
}

#[test]
fn a_month_is_672_hours_of_a_cpu_and_744_of_a_gpu() {
    for size in Catalogue::built_in().sizes() {
        let hours = if size.is_gpu() { 744.0 } else { 672.0 };
        let spec = &size.spec;
        let by_hour = spec.price_hourly * hours;
        let close = (by_hour - spec.price_monthly).abs() < 0.01;
        assert!(close || spec.slug.as_str() == "gpu-h100x8-640gb-200", "{}: {by_hour}", spec.slug);
    }
}

#[test]
fn gpu_sizes_are_in_three_regions_and_show_their_gpus() {
    let catalogue = Catalogue::built_in();
    for size in catalogue.sizes().iter().filter(|size| size.is_gpu()) {
        let regions: Vec<&str> = size.regions.iter().map(RegionSlug::as_str).collect();
        assert_eq!(regions, ["nyc2", "tor1", "atl1"], "{}", size.spec.slug);
    }
    let wire = size(&catalogue, "gpu-h100x8-640gb").to_wire();
    assert_eq!(
        serde_json::to_value(&wire.gpu_info).expect("plain data"),
        serde_json::json!({"count": 8, "model": "nvidia_h100", "vram": {"amount": 640, "unit": "gib"}})
    );
    assert_eq!(
        serde_json::to_value(&wire.disk_info).expect("plain data"),
        serde_json::json!([
            {"type": "local", "size": {"amount": 2046, "unit": "gib"}},
            {"type": "scratch", "size": {"amount": 40960, "unit": "gib"}},
        ])
    );
    assert!(size(&catalogue, "s-1vcpu-1gb").to_wire().gpu_info.is_none());
}

#[test]
fn what_is_embedded_is_what_is_shown_alone() {
    let catalogue = Catalogue::built_in();
    for region in catalogue.regions() {
        let json = serde_json::to_string(region.embedded()).expect("JSON");
        assert_eq!(serde_json::from_str::<Region>(&json).expect("a region"), region.to_wire());
    }
    for size in catalogue.sizes() {
        let json = serde_json::to_string(size.embedded()).expect("JSON");
        assert_eq!(serde_json::from_str::<Size>(&json).expect("a size"), size.to_wire());
    }
    for image in catalogue.images() {
        let json = serde_json::to_string(image.embedded()).expect("JSON");
        assert_eq!(serde_json::from_str::<Image>(&json).expect("an image"), image.to_wire());
    }
}

#[test]
fn public_images_show_only_words_that_released_sdks_know() {
    for image in Catalogue::built_in().images() {
        let wire = image.to_wire();
        assert!(wire.distribution.parse::<dewpoint_api::Distribution>().is_ok(), "{}", wire.distribution);
        assert!(wire.regions.iter().all(|region| !matches!(region.as_str(), "atl1" | "ric1")));
        assert!(image.offered_in(&"atl1".into()), "it works there all the same");
    }
}

#[test]
fn a_region_may_be_named_by_its_beginning_cre_7() {
    let catalogue = Catalogue::built_in();
    let slugs = |wanted: &str| -> Vec<String> {
        catalogue.regions_matching(&wanted.into()).iter().map(|region| region.spec.slug.to_string()).collect()
    };
    assert_eq!(slugs("nyc"), ["nyc1", "nyc2", "nyc3"]);
    assert_eq!(slugs("NYC3"), ["nyc3"]);
    assert!(slugs("ny").is_empty() && slugs("").is_empty() && slugs("xyz").is_empty());
}

#[test]
fn an_extension_adds_replaces_and_is_offered_what_is_offered_everywhere() {
    let extension =
        CatalogueFile::parse(&format!("{SMALL}\n[[regions]]\nslug = \"nyc3\"\nname = \"Attic\"")).expect("it parses");
    let catalogue = Catalogue::built_in().extend(extension).expect("it fits");
    assert_eq!(catalogue.regions().len(), Catalogue::built_in().regions().len() + 1);
    assert_eq!(catalogue.region(&"nyc3".into()).map(|region| region.spec.name.as_str()), Some("Attic"));
    assert!(size(&catalogue, "s-1vcpu-1gb").offered_in(&"lab1".into()));
    assert!(!size(&catalogue, "gpu-h100x1-80gb").offered_in(&"lab1".into()));
    let lab = catalogue.region(&"lab1".into()).expect("added");
    assert!(lab.sizes.iter().any(|slug| slug.as_str() == "s-1"));
}

#[test]
fn sizes_that_do_not_fit_the_host_become_unavailable_and_show_it() {
    let mut catalogue = Catalogue::built_in();
    let before = size(&catalogue, "s-8vcpu-16gb").embedded().clone();
    catalogue.restrict_sizes(|size| size.spec.memory_mib <= 4096 && !size.is_gpu());
    assert!(size(&catalogue, "s-1vcpu-1gb").available());
    let after = size(&catalogue, "s-8vcpu-16gb");
    assert!(!after.available() && !after.to_wire().available);
    assert_ne!(*after.embedded(), before);
}

#[test]
fn a_wrong_catalogue_is_refused_by_the_name_of_the_entry() {
    assert!(refusal("regions = 1").starts_with("the catalogue cannot be read:"));
    assert!(refusal(&SMALL.replace("vcpus", "cpus")).contains("unknown field `cpus`"));
    assert_eq!(refusal(&format!("{SMALL}{SMALL}")), r#"the catalogue's region "lab1" is there twice"#);
    assert_eq!(
        refusal(&format!("{SMALL}regions = [\"lab1\", \"nowhere\"]")),
        r#"the catalogue's size "s-1" names the region "nowhere", which is not in the catalogue"#
    );
    assert!(refusal(&SMALL.replace("1024", "1023")).contains(r#"size "s-1" has a memory_mib"#));
    assert!(refusal(&SMALL.replace("\"s-1\"", "\"s 1\"")).contains("has a slug with other than"));
    let image = |id: u32, slug: &str| {
        format!(
            "[[images]]\nid = {id}\nslug = \"{slug}\"\nname = \"x\"\ndistribution = \"Debian\"\nmin_disk_gib = 1\n\
             size_gigabytes = 1.0\nkind = \"distribution\"\ncreated_at = \"2026-01-01T00:00:00Z\"\n"
        )
    };
    assert!(refusal(&(image(1, "a") + &image(1, "b"))).contains(r#"image "b" has the id 1 of "a""#));
    assert!(refusal(&image(1, "12")).contains("requests would take for an id"));
}
