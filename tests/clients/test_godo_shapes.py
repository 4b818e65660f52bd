"""Requests as godo, doctl and the Terraform provider write them, and what those read from the answers.

They are programs in Go that cannot be had here, so their requests are replayed in plain HTTP: every member that godo always
sends, empty or null as it sends it, and the reads and waits that doctl and the provider build on. Rule by rule from the
behaviour contract; nothing here is their code.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qs, urlsplit

import pytest

from harness import (
    DOCUMENTED_IMAGE, DOCUMENTED_KEY, DOCUMENTED_SIZE, DOCUMENTED_VPC, GPU_IMAGE, GPU_SIZE, eventually, finish,
    fresh_name, fresh_public_key,
)

GO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def create_request(**members):
    """A `DropletCreateRequest` as Go marshals it: unset lists are null, unset words are empty (PRO-5)."""
    return {
        "name": fresh_name("tf-acc-test"), "region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE,
        "ssh_keys": None, "backups": False, "ipv6": False, "private_networking": False, "monitoring": False, "tags": None,
    } | members


def volume_request(**members):
    """A `VolumeCreateRequest` as Go marshals it (VOL-2)."""
    return {
        "region": "nyc3", "name": fresh_name("volume"), "description": "", "size_gigabytes": 10, "snapshot_id": "",
        "filesystem_type": "", "filesystem_label": "", "tags": None,
    } | members


@pytest.fixture
def godo(http):
    """The headers godo sends with everything."""
    http.headers.update({"Accept": "application/json", "User-Agent": "godo/1.202.0"})
    return http


@pytest.fixture
def make(godo):
    """Creates a Droplet as `doctl compute droplet create --wait` does, and deletes it after the test."""
    made = []

    def create(**members):
        answer = godo.post("/v2/droplets", json=create_request(**members))
        assert answer.status_code == 202, answer.text
        made.append(answer.json()["droplet"]["id"])
        wait_by_path(godo, answer.json()["links"]["actions"])
        return godo.get(f"/v2/droplets/{made[-1]}").json()["droplet"]

    yield create
    for identity in made:
        godo.delete(f"/v2/droplets/{identity}")


def wait_by_path(godo, actions):
    """doctl's wait: the *path* of the link whose `rel` is `create`, on its own base URL (ACT-5)."""
    [link] = [link for link in actions if link["rel"] == "create"]
    path = urlsplit(link["href"]).path
    seen = eventually(lambda: godo.get(path).json()["action"], lambda seen: seen["status"] != "in-progress", "action")
    assert seen["status"] == "completed", seen


def delete_and_wait(godo, identity):
    """The provider's wait after a delete: 404 at the end, `active` or `off` until then (DEL-1)."""
    assert godo.delete(f"/v2/droplets/{identity}").status_code == 204
    eventually(lambda: godo.get(f"/v2/droplets/{identity}").status_code, lambda status: status == 404, "404")


# Creates


def test_the_barest_request_godo_sends_makes_a_droplet_pro_5(make):
    droplet = make()
    assert droplet["tags"] == [] and droplet["features"] == ["private_networking"]


def test_a_request_without_region_gets_one_cre_7(make):
    assert make(region="")["region"]["slug"]


@pytest.mark.parametrize("region", ["nyc", "NYC3"])
def test_a_region_may_be_a_prefix_or_in_capitals_cre_7_pro_9(make, region):
    assert make(region=region)["region"]["slug"].startswith("nyc")


def test_an_image_may_be_its_number_or_that_in_text_cre_5(make, godo):
    number = godo.get(f"/v2/images/{DOCUMENTED_IMAGE}").json()["image"]["id"]
    assert make(image=number)["image"]["slug"] == DOCUMENTED_IMAGE
    assert make(image=str(number))["image"]["id"] == number


def test_keys_may_be_numbers_text_and_fingerprints_mixed_cre_9(make):
    number, fingerprint = DOCUMENTED_KEY
    make(ssh_keys=[number, fingerprint])
    make(ssh_keys=[str(number)])


@pytest.mark.parametrize("form", [lambda volume: volume["id"], lambda volume: {"id": volume["id"]},
                                  lambda volume: {"name": volume["name"]}], ids=["text", "id", "name"])
def test_volumes_may_be_texts_or_objects_cre_13(make, godo, form):
    volume = godo.post("/v2/volumes", json=volume_request()).json()["volume"]
    droplet = make(volumes=[form(volume)])
    assert droplet["volume_ids"] == [volume["id"]]
    attached = godo.get(f"/v2/volumes/{volume['id']}").json()["volume"]
    assert attached["droplet_ids"] == [droplet["id"]]
    refusal = godo.delete(f"/v2/volumes/{volume['id']}")
    assert refusal.status_code == 409 and "attached volume cannot be deleted" in refusal.json()["message"], "ERR-6"
    delete_and_wait(godo, droplet["id"])
    assert godo.get(f"/v2/volumes/{volume['id']}").json()["volume"]["droplet_ids"] == [], "DEL-3"
    assert godo.delete(f"/v2/volumes/{volume['id']}").status_code == 204


def test_the_multi_create_answers_in_the_order_of_the_names_cre_1(godo):
    names = [fresh_name("tf-acc-test") for _ in range(4)]
    body = create_request(names=names)
    del body["name"]
    answer = godo.post("/v2/droplets", json=body).json()
    assert [droplet["name"] for droplet in answer["droplets"]] == names
    for link in answer["links"]["actions"]:
        wait_by_path(godo, [link])
    for droplet in answer["droplets"]:
        delete_and_wait(godo, droplet["id"])


def test_what_a_create_answers_cre_21(godo):
    answer = godo.post("/v2/droplets", json=create_request())
    droplet = answer.json()["droplet"]
    assert droplet["status"] == "new" and droplet["networks"] == {"v4": [], "v6": []}
    assert droplet["volume_ids"] == droplet["backup_ids"] == droplet["snapshot_ids"] == []
    assert droplet["next_backup_window"] is None and droplet["kernel"] is None
    assert godo.get(f"/v2/droplets/{droplet['id']}").status_code == 200, "readable at once, CRE-23"
    [link] = answer.json()["links"]["actions"]
    assert link["href"].startswith(str(godo.base_url)), "PAG-8"
    finish(godo, link["id"])
    delete_and_wait(godo, droplet["id"])


def test_without_public_networking_there_is_only_a_private_address_cre_17(make, godo):
    droplet = make(public_networking=False)
    assert [network["type"] for network in droplet["networks"]["v4"]] == ["private"]
    refusal = godo.post("/v2/droplets", json=create_request(public_networking=False, ipv6=True))
    assert refusal.status_code == 422


# What the provider reads


def test_the_provider_finds_its_addresses_and_features_dro_2_dro_3_cre_22(make):
    droplet = make(backups=True, ipv6=True, monitoring=True, vpc_uuid=DOCUMENTED_VPC, user_data="foobar")
    by_type = {network["type"]: network for network in droplet["networks"]["v4"]}
    assert set(by_type) == {"public", "private"}
    for network in by_type.values():
        assert ip_address(network["ip_address"]).version == 4 and ip_address(network["netmask"])
    assert ip_address(by_type["public"]["gateway"]) and by_type["private"].get("gateway") is None
    assert ip_address(by_type["private"]["ip_address"]) in ip_network("10.10.10.0/24")
    [six] = droplet["networks"]["v6"]
    assert ip_address(six["ip_address"]).version == 6 and isinstance(six["netmask"], int)
    assert six["ip_address"] == six["ip_address"].lower()
    assert {"backups", "ipv6", "monitoring", "private_networking"} <= set(droplet["features"])
    assert droplet["vpc_uuid"] == DOCUMENTED_VPC and "user_data" not in droplet
    assert droplet["size"]["slug"] == droplet["size_slug"] == DOCUMENTED_SIZE, "DRO-12"
    assert droplet["size"]["price_hourly"] == 0.00893 and droplet["size"]["price_monthly"] == 6, "PRO-7"
    assert droplet["disk"] == 25 and droplet["memory"] == 1024


def test_times_are_whole_seconds_with_a_z_pro_6(make, godo):
    droplet = make()
    [action] = godo.get(f"/v2/droplets/{droplet['id']}/actions").json()["actions"]
    for time in (droplet["created_at"], droplet["image"]["created_at"], action["started_at"], action["completed_at"]):
        assert GO_TIME.fullmatch(time), time
        datetime.fromisoformat(time.replace("Z", "+00:00"))


def test_prices_are_exact_decimals_pro_7(godo):
    text = godo.get("/v2/sizes", params={"per_page": 200}).text
    prices = re.findall(r'"price_(?:hourly|monthly)":([^,}]+)', text)
    assert prices and all(re.fullmatch(r"\d+(\.\d{1,5})?", price) for price in prices), prices


def test_the_provider_powers_off_waits_and_deletes_dac_1(make, godo):
    droplet = make()["id"]
    action = godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "shutdown"})
    assert action.status_code == 201, "ACT-7"
    finish(godo, action.json()["action"]["id"])
    again = godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "power_off"})
    assert again.status_code == 422 and "Droplet is already powered off" in again.json()["message"], "ERR-5"
    done = godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "shutdown"})
    assert done.status_code == 201, "a shutdown of one that is off is no error"
    finish(godo, done.json()["action"]["id"])
    delete_and_wait(godo, droplet)


def test_completed_at_comes_with_completed_and_null_before_act_3(make, godo):
    droplet = make()["id"]
    action = godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "reboot"}).json()["action"]
    assert action["status"] == "in-progress" and action["completed_at"] is None
    assert action["resource_type"] == "droplet" and action["region_slug"] == action["region"]["slug"], "ACT-2"
    seen = eventually(
        lambda: godo.get(f"/v2/actions/{action['id']}").json()["action"], lambda seen: seen["completed_at"], "end",
    )
    assert seen["status"] == "completed"


def test_a_rename_reads_back_dac_4(make, godo):
    droplet, name = make()["id"], fresh_name("renamed")
    action = godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "rename", "name": name}).json()["action"]
    finish(godo, action["id"])
    assert godo.get(f"/v2/droplets/{droplet}").json()["droplet"]["name"] == name


def test_an_import_of_what_is_not_there_says_so_err_4(godo):
    refusal = godo.get("/v2/droplets/1")
    assert refusal.status_code == 404
    assert "The resource you were accessing could not be found." in refusal.json()["message"]


def test_a_volume_in_capitals_reads_back_in_small_pro_9_vol_3(godo):
    request = volume_request(region="NYC3", filesystem_type="ext4", filesystem_label="label", tags=["foo", "bar"])
    volume = godo.post("/v2/volumes", json=request).json()["volume"]
    assert volume["region"]["slug"] == "nyc3" and volume["size_gigabytes"] == 10 and volume["droplet_ids"] == []
    assert (volume["filesystem_type"], volume["filesystem_label"]) == ("ext4", "label")
    assert sorted(volume["tags"]) == ["bar", "foo"]
    clash = godo.post("/v2/volumes", json=request)
    assert clash.status_code == 409 and "already exists" in clash.json()["message"], "ERR-6"
    assert clash.headers["x-should-retry"] == "false", "ERR-10"
    assert godo.delete(f"/v2/volumes/{volume['id']}").status_code == 204


def test_gpu_droplets_as_the_provider_makes_them_dro_6(make):
    droplet = make(region="nyc2", size=GPU_SIZE, image=GPU_IMAGE)
    assert droplet["gpu_info"] == droplet["size"]["gpu_info"]
    assert droplet["gpu_info"]["vram"] == {"amount": 80, "unit": "gib"}


# Lists


def test_doctl_pages_by_the_number_in_last_pag_6(make, godo):
    """It asks for page 1 of 200, reads the page in `last`, and fetches the others four at a time."""
    tag = fresh_name("doctl")
    body = create_request(tags=[tag])
    del body["name"]
    wanted = set()
    with ThreadPoolExecutor(4) as pool:
        batches = [body | {"names": [fresh_name("tf-acc-test") for _ in range(10)]} for _ in range(42)]
        for answer in pool.map(lambda batch: godo.post("/v2/droplets", json=batch), batches):
            assert answer.status_code == 202, answer.text
            wanted |= {droplet["id"] for droplet in answer.json()["droplets"]}

    first = godo.get(f"/v2/droplets?page=1&per_page=200&tag_name={tag}").json()
    last = int(parse_qs(urlsplit(first["links"]["pages"]["last"]).query)["page"][0])
    assert last == 3 and first["meta"]["total"] == 420
    with ThreadPoolExecutor(4) as pool:
        pages = pool.map(lambda page: godo.get(f"/v2/droplets?page={page}&per_page=200&tag_name={tag}").json(), (2, 3))
    seen = [droplet["id"] for page in [first, *pages] for droplet in page["droplets"]]
    assert len(seen) == len(set(seen)) == 420 and set(seen) == wanted, "PAG-9"

    eventually(lambda: godo.delete("/v2/droplets", params={"tag_name": tag}).status_code, lambda code: code == 204, "204")
    assert godo.get(f"/v2/droplets?tag_name={tag}").json()["meta"]["total"] == 0


def test_a_list_on_one_page_has_links_without_pages_pag_4(godo):
    body = godo.get("/v2/vpcs?per_page=200").json()
    assert body["links"] in ({}, {"pages": {}}) and body["meta"]["total"] == len(body["vpcs"])


def test_links_keep_the_filters_and_godo_can_read_its_page_pag_5_pag_7(godo):
    middle = godo.get("/v2/images?type=distribution&per_page=3&page=2").json()["links"]["pages"]
    numbers = {}
    for name, link in middle.items():
        query = parse_qs(urlsplit(link).query)
        assert query["type"] == ["distribution"] and query["per_page"] == ["3"]
        numbers[name] = int(query["page"][0])
    assert (numbers["first"], numbers["prev"], numbers["next"]) == (1, 1, 3) and numbers["last"] >= 3
    last = godo.get(middle["last"]).json()["links"]["pages"]
    assert set(last) == {"first", "prev"}


def test_actions_are_newest_first_and_reachable_both_ways_act_1(make, godo):
    droplet = make()["id"]
    finish(godo, godo.post(f"/v2/droplets/{droplet}/actions", json={"type": "power_off"}).json()["action"]["id"])
    listed = godo.get(f"/v2/droplets/{droplet}/actions?page=1&per_page=200").json()["actions"]
    assert [action["type"] for action in listed] == ["power_off", "create"]
    for action in listed:
        assert godo.get(f"/v2/actions/{action['id']}").json()["action"] == action
        assert godo.get(f"/v2/droplets/{droplet}/actions/{action['id']}").json()["action"] == action


# Keys and tags


def test_keys_by_fingerprint_in_the_path_key_2(godo):
    made = godo.post("/v2/account/keys", json={"name": "tf-acc-test", "public_key": fresh_public_key()})
    key = made.json()["ssh_key"]
    path = f"/v2/account/keys/{key['fingerprint']}"
    assert made.status_code == 201 and godo.get(path).json()["ssh_key"] == key
    assert godo.put(path, json={"name": "other"}).json()["ssh_key"]["name"] == "other"
    assert godo.delete(path).status_code == 204 and godo.get(path).status_code == 404


def test_tags_as_the_provider_manages_them_tag_1_tag_3(make, godo):
    tag = fresh_name("Tag:")
    assert godo.post("/v2/tags", json={"name": tag}).status_code == 201
    droplet = make()["id"]
    body = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    assert godo.post(f"/v2/tags/{tag}/resources", json=body).status_code == 204
    assert godo.get(f"/v2/tags/{tag}").json()["tag"]["resources"]["droplets"]["count"] == 1
    assert godo.request("DELETE", f"/v2/tags/{tag}/resources", json=body).status_code == 204, "PRO-3"
    for wrong in ("", "a b", "a/b", "a.b", "*", "x" * 256):
        assert godo.post("/v2/tags", json={"name": wrong}).status_code == 422, wrong
    assert godo.delete(f"/v2/tags/{tag}").status_code == 204


# The protocol


def test_a_delete_may_have_a_content_type_and_no_body_pro_3(make, godo):
    droplet = make()["id"]
    answer = godo.delete(f"/v2/droplets/{droplet}", headers={"Content-Type": "application/json", "Accept": "*/*"})
    assert answer.status_code == 204 and answer.content == b"", "PRO-1"


def test_head_answers_like_get_without_a_body_pro_8(godo):
    got, head = godo.get("/v2/regions"), godo.head("/v2/regions")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]


def test_a_browser_may_ask_first_pro_8(http):
    answer = http.options("/v2/droplets", headers={
        "Origin": "https://console.example.com", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    })
    assert answer.headers["access-control-allow-origin"] == "https://console.example.com"
    assert answer.headers["access-control-allow-credentials"] == "true" and "access-control-max-age" in answer.headers
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_a_path_may_end_in_a_slash_and_a_wrong_method_hears_which_are_right(godo):
    assert godo.get("/v2/droplets/").status_code == 200
    refusal = godo.patch("/v2/droplets")
    assert refusal.status_code == 405 and {"GET", "POST"} <= set(refusal.headers["allow"].replace(" ", "").split(","))


def test_bodies_that_cannot_be_read_are_400_and_say_why_err_2(godo):
    for body in (b"{", b"", b"\xff\xfe", b'{"name": "a" "b"}'):
        refusal = godo.post("/v2/droplets", content=body)
        assert refusal.status_code == 400 and refusal.json()["id"] == "bad_request", body
    assert godo.post("/v2/droplets", content=b" " * 10_000_000).status_code == 413
    assert godo.post("/v2/droplets", json=[]).status_code == 422


# Reserved IPs


def assign_as_terraform(godo, address, droplet):
    """As the provider's `reserved_ip_assignment`: first none of the Droplet's 50 newest actions is pending (RIP-4)."""
    eventually(
        lambda: [one["status"] for one in godo.get(f"/v2/droplets/{droplet}/actions?page=1&per_page=50").json()["actions"]],
        lambda statuses: "in-progress" not in statuses,
        "the end of the Droplet's actions",
    )
    answer = godo.post(f"/v2/reserved_ips/{address}/actions", json={"type": "assign", "droplet_id": droplet})
    assert answer.status_code == 201, answer.text
    action = answer.json()["action"]["id"]
    eventually(
        lambda: godo.get(f"/v2/reserved_ips/{address}/actions/{action}").json()["action"]["status"],
        lambda status: status == "completed",
        "the assignment",
    )


def test_reserved_ips_as_terraform_makes_assigns_moves_and_removes_them_rip_4(godo, make):
    first, second = make()["id"], make()["id"]
    answer = godo.post("/v2/reserved_ips", json={"region": "nyc3"})
    assert answer.status_code == 202 and answer.json()["links"] == {}
    address = answer.json()["reserved_ip"]["ip"]
    ip_address(address)
    for droplet in (first, second):
        assign_as_terraform(godo, address, droplet)
        read = godo.get(f"/v2/reserved_ips/{address}").json()["reserved_ip"]
        assert (read["droplet"]["id"], read["region"]["slug"]) == (droplet, "nyc3")
    urn = f"do:reservedip:{address}"
    [moved] = godo.post("/v2/projects/default/resources", json={"resources": [urn]}).json()["resources"]
    assert moved["urn"] == f"do:floatingip:{address}", "RIP-7"
    # Its `Read` of an assignment looks at the Droplet alone; its `Delete` unassigns and waits.
    action = godo.post(f"/v2/reserved_ips/{address}/actions", json={"type": "unassign"}).json()["action"]["id"]
    eventually(
        lambda: godo.get(f"/v2/reserved_ips/{address}/actions/{action}").json()["action"]["status"],
        lambda status: status == "completed",
        "the end of unassign_ip",
    )
    assert godo.get(f"/v2/reserved_ips/{address}").json()["reserved_ip"]["droplet"] is None
    # As `doctl compute reserved-ip create --droplet-id`, with region empty as godo leaves it out, then delete of an assigned one.
    made = godo.post("/v2/floating_ips", json={"droplet_id": first}).json()
    wait_by_path(godo, [made["links"]["actions"][0] | {"rel": "create"}])
    for path in (f"/v2/floating_ips/{made['floating_ip']['ip']}", f"/v2/reserved_ips/{address}"):
        assert godo.delete(path).status_code == 204
        assert godo.get(path).status_code == 404
