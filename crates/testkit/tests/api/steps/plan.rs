//! What a scenario does when nobody troubles it: its steps, what each asks of the engine, and what there is after each.

use std::sync::Arc;

use dewpoint_api::ResourceType;
use dewpoint_control::actions::Point;
use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::Value;

use super::{
    scenarios::{Scenario, Stage, document},
    troubles::Troublemaker,
    world::{World, deletable, world},
};
use crate::{fault, for_good};

/// A step of a scenario.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// What it asks of the engine, in order.
    pub(super) calls: Vec<Operation>,
    /// Whether it only takes back what a failed one did.
    pub(super) is_back: bool,
}

/// A scenario as it goes without trouble.
#[derive(Debug)]
pub(super) struct Plan {
    /// The steps, the compensation last.
    pub(super) steps: Vec<Step>,
    /// What there is before, and after each step.
    pub(super) worlds: Vec<World>,
    /// What there is when it is asked for, and nothing is done yet.
    pub(super) accepted: World,
    /// What there is in the end.
    pub(super) after: World,
    /// What could be deleted while it runs.
    pub(super) things: Vec<String>,
}

/// An action that was just accepted.
pub(super) struct Begun {
    pub(super) app: TestApp,
    pub(super) stage: Stage,
    pub(super) document: &'static Value,
    pub(super) action: u64,
    pub(super) before: World,
    pub(super) maker: Arc<Troublemaker>,
}

/// What the list of all actions calls a kind of resource (ACT-13).
fn shown_as(resource: ResourceType) -> &'static str {
    match resource {
        ResourceType::ReservedIp => ResourceType::FloatingIp.as_str(),
        other => other.as_str(),
    }
}

/// The newest action of the scenario's flow that is in progress.
pub(super) async fn newest_of(app: &TestApp, scenario: &Scenario) -> Option<u64> {
    let (resource, kind) = scenario.flow;
    let all = app.admin().all("/v2/actions", "actions").await;
    let meets = |action: &&Value| {
        action["status"] == "in-progress"
            && action["type"] == kind.as_str()
            && action["resource_type"] == shown_as(resource)
    };
    all.iter().find(meets).and_then(|action| action["id"].as_u64())
}

impl Begun {
    /// Puts everything in its place and asks for the action.
    pub(super) async fn of(scenario: &Scenario) -> Self {
        let app = scenario.app().await;
        let mut stage = Stage::set(&app, scenario.given()).await;
        let document = document(&app).await;
        let before = world(&app).await;
        let answer = scenario.ask(&app, document, &stage, false).await;
        if let Some(answer) = answer {
            assert!((200..300).contains(&answer.status), "{} answers {} {}", scenario.by, answer.status, answer.text);
        }
        stage.look(&app).await;
        let action = newest_of(&app, scenario).await.expect("an action in progress");
        Self { stage, document, action, before, maker: Troublemaker::of(action), app }
    }

    /// Works until nothing is in progress, moving the clock when something waits.
    pub(super) async fn work_to_the_end(&self) {
        for _ in 0..120 {
            self.maker.worker(&self.app).run_until_idle().await;
            if self.app.backlog().await == 0 {
                return;
            }
            self.app.clock().advance(std::time::Duration::from_secs(1));
        }
        panic!("an action is still in progress after two minutes");
    }

    /// Makes a step fail for good, though it has done what it asks of the engine.
    pub(super) fn fail_first(&self, forward: &Step) {
        match forward.calls.last() {
            Some(operation) => self.app.sim().faults().order(fault(*operation, Moment::After, 1, for_good)),
            None => self.maker.fail(&forward.name, 1, true),
        }
    }
}

impl Plan {
    /// Watches the scenario without trouble, and once with a failure when there is a compensation.
    pub(super) async fn watched(scenario: &Scenario) -> Self {
        let begun = Begun::of(scenario).await;
        let accepted = world(&begun.app).await;
        let things = deletable(&begun.app).await.into_keys().filter(|name| name != "Droplet bystander").collect();
        begun.maker.listen(begun.app.sim().faults());
        begun.work_to_the_end().await;
        let story = begun.app.admin().action_story(begun.action).await;
        assert_eq!(story["action"]["status"], "completed", "{story}");
        begun.app.books_balance().await;
        let after = world(&begun.app).await;
        let forward = begun.maker.steps();
        let mut worlds = vec![begun.before];
        for (name, _) in &forward {
            let begun = Begun::of(scenario).await;
            begun.maker.die(name, Point::Stored);
            begun.maker.worker(&begun.app).run_until_idle().await;
            worlds.push(world(&begun.app).await);
        }
        let mut steps: Vec<Step> =
            forward.into_iter().map(|(name, calls)| Step { name, calls, is_back: false }).collect();
        let begun = Begun::of(scenario).await;
        begun.fail_first(steps.last().expect("it has steps"));
        begun.maker.listen(begun.app.sim().faults());
        begun.work_to_the_end().await;
        for (name, calls) in begun.maker.steps() {
            if steps.iter().all(|step| step.name != name) {
                steps.push(Step { name, calls, is_back: true });
            }
        }
        Self { steps, worlds, accepted, after, things }
    }

    /// The step whose failure the compensation takes back here.
    pub(super) fn last_forward(&self) -> &Step {
        self.steps.iter().rfind(|step| !step.is_back).expect("it has steps")
    }
}
