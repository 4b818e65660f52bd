//! What has to hold when everything has come to its end.

use dewpoint_store::Tx;
use serde_json::Value;

use crate::{
    clients::{Kind, Mark, Thing},
    promises::{Broken, all_rows, promise},
    world::{World, attend},
};

/// How many requests with a key are sent once more in the end.
const REPLAYED: usize = 3;

impl World {
    /// The end of a life without a crash: all that was asked for is done, and nothing has to wait for the next start, unless
    /// the engine refused to remove something.
    pub(crate) async fn end(&mut self) -> Result<(), Broken> {
        self.settle().await?;
        if self.engine_never_failed() {
            self.last_checks().await?;
        }
        Ok(())
    }

    /// All promises that can be checked in the end, of books and of clients.
    pub(crate) async fn last_checks(&mut self) -> Result<(), Broken> {
        let Self { app, steppers, .. } = self;
        attend(steppers.as_mut().expect("the server is alive"), app.books_balance()).await;
        self.actions_have_ended().await?;
        for thing in self.clients.things.clone() {
            self.thing_is_as_told(&thing).await?;
        }
        for (who, path, key) in
            [(0, "/v2/droplets", "droplets"), (0, "/v2/volumes", "volumes"), (1, "/v2/actions", "actions")]
        {
            let Self { app, steppers, .. } = self;
            let client = app.bearer(self.tokens[who].as_str());
            // Says the same total on every page, and as many are there.
            attend(steppers.as_mut().expect("the server is alive"), client.all(path, key)).await;
        }
        self.keys_are_known().await?;
        self.write_down_the_end().await
    }

    async fn get(&mut self, who: usize, path: &str) -> (u16, Value) {
        let Self { app, steppers, tokens, .. } = self;
        let client = app.bearer(tokens[who].as_str());
        let answer = attend(steppers.as_mut().expect("the server is alive"), client.get(path)).await;
        (answer.status, answer.json())
    }

    /// The first number that a query finds.
    fn number(&mut self, sql: &str, id: &str) -> Result<u64, Broken> {
        let store = &mut self.steppers.as_mut().expect("the server is alive").store;
        let found = store.look(|tx| tx.query_one(sql, &[id.into()], |row| row.next::<u64>()));
        found.map_err(|error| Broken(format!("the store cannot be looked into: {error}")))
    }

    async fn actions_have_ended(&mut self) -> Result<(), Broken> {
        for (who, id) in self.clients.actions.clone() {
            let (status, body) = self.get(who, &format!("/v2/actions/{id}")).await;
            promise!(status == 200, "action {id}, which somebody was told of, is gone: {status} {body}");
            let action = &body["action"];
            let ended = action["status"] != "in-progress" && action["completed_at"].is_string();
            promise!(ended, "action {id} has not ended: {action}");
        }
        if self.engine_was_kind() {
            let store = &mut self.steppers.as_mut().expect("the server is alive").store;
            let sql =
                "SELECT 'action ' || id || ', ' || type || ' of a ' || resource_type || ': ' || COALESCE(reason, '')
                       FROM actions WHERE status = 'errored' AND reason <> 'the Droplet was deleted while it waited for room'
                       ORDER BY id";
            let failed = store.look(|tx| tx.query_opt(sql, &[], |row| row.next::<String>()));
            let failed = failed.map_err(|error| Broken(format!("the store cannot be looked into: {error}")))?;
            promise!(failed.is_none(), "an action failed, and no engine did: {}", failed.unwrap_or_default());
        }
        Ok(())
    }

    async fn thing_is_as_told(&mut self, thing: &Thing) -> Result<(), Broken> {
        let (status, body) = self.get(thing.who, &thing.kind.path(&thing.id)).await;
        if thing.gone {
            promise!(status == 404, "{thing:?} was told to be gone and is there: {body}");
        } else if !thing.doomed && status != 200 {
            // What could not be made is not there; only an engine that failed may be why.
            let sql = match thing.kind {
                Kind::Droplet => {
                    "SELECT COUNT(*) FROM actions WHERE resource_type = 'droplet' AND CAST(resource_id AS TEXT) = $1
                     AND type = 'create' AND status = 'errored'"
                }
                Kind::VolumeSnapshot => {
                    "SELECT COUNT(*) FROM actions WHERE type = 'snapshot' AND request LIKE '%' || $1 || '%' AND status = 'errored'"
                }
                Kind::Volume | Kind::Image | Kind::Key | Kind::Firewall => "SELECT 0 WHERE $1 = $1",
            };
            let failed = self.number(sql, &thing.id)?;
            promise!(failed == 1 && status == 404, "{thing:?} was promised and is lost: {status} {body}");
        }
        Ok(())
    }

    /// How much of firewalls is not in force yet. It has to come to an end whatever became of the requests that changed it.
    pub(crate) fn firewalls_waiting(&mut self) -> Result<u64, Broken> {
        self.number("SELECT COUNT(*) FROM firewall_changes WHERE $1 = $1", "")
    }

    /// Requests whose key is known are sent once more: nothing is made again, and who is answered is told the same.
    async fn keys_are_known(&mut self) -> Result<(), Broken> {
        let now = self.app.now();
        let fits = |(index, wish): (usize, &crate::clients::Wish)| {
            let known = matches!(wish.mark, Mark::Key(_)) && wish.told.is_some() && wish.is_once(now);
            known.then_some(index)
        };
        let known: Vec<usize> = self.clients.wishes.iter().enumerate().filter_map(fits).take(REPLAYED).collect();
        for wish in known {
            let before = self.book.times_made();
            self.ask_again(wish).await?;
            promise!(self.book.times_made() == before, "a key that was used made something once more");
        }
        Ok(())
    }

    /// Adds all there is to the trace, and to the tally how much was done.
    async fn write_down_the_end(&mut self) -> Result<(), Broken> {
        let steppers = self.steppers.as_mut().expect("the server is alive");
        let failed = |error| Broken(format!("the end cannot be read: {error}"));
        let rows = all_rows(&mut steppers.store).map_err(failed)?;
        let machines = steppers.sim.machines().map_err(|error| Broken(error.to_string()))?;
        let count = |tx: &mut dyn Tx, sql: &str| tx.query_one(sql, &[], |row| row.next::<u64>());
        let (actions, errored, steps) = steppers
            .store
            .look(|tx| {
                Ok((
                    count(tx, "SELECT COUNT(*) FROM actions")?,
                    count(tx, "SELECT COUNT(*) FROM actions WHERE status = 'errored'")?,
                    count(tx, "SELECT COALESCE(SUM(json_array_length(timeline)), 0) FROM actions")?,
                ))
            })
            .map_err(failed)?;
        (self.tally.actions, self.tally.actions_errored, self.tally.steps) = (actions, errored, steps);
        rows.into_iter().for_each(|row| self.trace.line(row));
        self.trace.line(format!("machines: {machines:?}"));
        Ok(())
    }
}
