//! `dew top`: Droplets, running actions and stock, drawn again and again; once where that cannot be drawn.

use std::{
    collections::BTreeMap,
    future::pending,
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    output::{Json, print},
    tables::{ACTION, address},
    terminal::{Screen, keys},
    tree::{given::Given, kind::Kind, session::Session, spec::Verb, wait},
};

/// Droplets that are drawn; the newest are.
const DROPLETS: usize = 20;
/// Least time between two looks.
const LEAST: Duration = Duration::from_millis(200);

/// Watches until `q` or Ctrl-C. A server that does not answer is told in place of what it would tell, and asked again.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    if given.is_on("once") || !io::stdout().is_terminal() {
        return print(&view(session).await?);
    }
    let interval = Duration::from_secs(given.whole("interval").unwrap_or(2));
    // What is wrong from the start ends it, and is not a screen to watch.
    let mut text = view(session).await?;
    let screen = Screen::enter()?;
    let mut keys = screen.has_keys().then(keys);
    loop {
        screen.draw(&text)?;
        tokio::select! {
            () = tokio::time::sleep(interval.max(LEAST)) => {}
            () = quits(keys.as_mut()) => return Ok(()),
        }
        text = tokio::select! {
            seen = view(session) => seen.unwrap_or_else(|error| format!("{}\n\n{error:#}\n", session.client.url())),
            () = quits(keys.as_mut()) => return Ok(()),
        };
    }
}

/// Waits for `q`.
async fn quits(keys: Option<&mut UnboundedReceiver<Vec<u8>>>) {
    let Some(keys) = keys else { return pending().await };
    while let Some(typed) = keys.recv().await {
        if typed.iter().any(|key| b"qQ".contains(key)) {
            return;
        }
    }
    pending().await
}

async fn view(session: &Session) -> Result<String> {
    let droplets = match Kind::Droplet.listing() {
        Some(listing) => listing.all(&session.client, &[]).await?,
        None => Vec::new(),
    };
    let newest = [("per_page".to_owned(), "50".to_owned())];
    let actions = ACTION.objects(&session.client.send("GET", "/v2/actions", &newest, None).await?.body);
    let stock = match session.client.get("/dew/v1/stock").await {
        Ok(stock) => stock,
        Err(error) if wait::is_untold(&error) => Json::Null,
        Err(error) => return Err(error),
    };
    Ok(drawn(session.client.url(), &droplets, &actions, &stock))
}

fn drawn(url: &str, droplets: &[Json], actions: &[Json], stock: &Json) -> String {
    let mut states = BTreeMap::<String, usize>::new();
    for droplet in droplets {
        *states.entry(droplet.at("status").cell()).or_default() += 1;
    }
    let states: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let running: Vec<&Json> = actions.iter().filter(|action| action.at("status").cell() == "in-progress").collect();
    let mut text = format!("{url}\n\nDroplets: {} ({})\n", droplets.len(), states.join(", "));
    for droplet in droplets.iter().rev().take(DROPLETS) {
        let tell = [
            droplet.at("id").cell(),
            droplet.at("name").cell(),
            droplet.at("status").cell(),
            droplet.at("size_slug").cell(),
            droplet.at("region.slug").cell(),
            address(droplet, "v4", "public"),
        ];
        let [id, name, status, size, region, ip] = tell;
        text.push_str(&format!("  {id:>10}  {name:<24} {status:<8} {size:<20} {region:<6} {ip}\n"));
    }
    if droplets.len() > DROPLETS {
        text.push_str(&format!("  and {} more\n", droplets.len() - DROPLETS));
    }
    text.push_str(&format!("\nActions in progress: {}\n", running.len()));
    for action in running {
        let [id, kind, resource, of, since] =
            ["id", "type", "resource_type", "resource_id", "started_at"].map(|member| action.at(member).cell());
        text.push_str(&format!("  {id:>10}  {kind:<24} {resource} {of}, since {since}\n"));
    }
    let hosts = stock.at("hosts").list();
    if !hosts.is_empty() {
        text.push_str(&format!(
            "\nStock: {} hosts, {} creates wait for room\n",
            hosts.len(),
            stock.at("queued").cell()
        ));
    }
    for host in hosts {
        let used =
            |member: &str| format!("{}/{}", host.at(member).at("used").cell(), host.at(member).at("total").cell());
        let gpus: Vec<String> = host
            .at("gpus")
            .list()
            .iter()
            .map(|gpu| format!("{} {}/{}", gpu.at("model").cell(), gpu.at("used").cell(), gpu.at("total").cell()))
            .collect();
        let (name, region) = (host.at("name").cell(), host.at("region").cell());
        let (vcpus, memory) = (used("vcpus"), used("memory_mib"));
        text.push_str(&format!("  {name:<16} {region:<6} vCPUs {vcpus:<10} MiB {memory:<18} {}\n", gpus.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Vec<Json> {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn what_runs_and_what_is_left_is_drawn() {
        let droplets =
            json(r#"[{"id":7,"name":"web","status":"active","size_slug":"s-1vcpu-1gb","region":{"slug":"nyc3"}}]"#);
        let actions = json(
            r#"[{"id":1,"status":"completed"},{"id":2,"type":"reboot","status":"in-progress","resource_type":"droplet","resource_id":7}]"#,
        );
        let stock = json(
            r#"[{"queued":0,"hosts":[{"name":"h1","region":"nyc2","vcpus":{"used":1,"total":8},"memory_mib":{"used":1,"total":2},"gpus":[{"model":"nvidia_h100","used":1,"total":8}]}]}]"#,
        );
        let text = drawn("http://x", &droplets, &actions, &stock[0]);
        assert!(text.contains("Droplets: 1 (1 active)") && text.contains("Actions in progress: 1\n"), "{text}");
        assert!(text.contains("reboot") && text.contains("nvidia_h100 1/8"), "{text}");
    }
}
