//! What the simulator does to actions: holds them back, and lets steps fail.

use std::{future::Future, pin::Pin};

use dewpoint_control::{Error, actions::Meddler};
use dewpoint_engine::Error as EngineError;
use dewpoint_store::ActionRecord;

use super::{Simulator, faults::Target, order::Effect};

impl Meddler for Simulator {
    fn before_step<'a>(
        &'a self,
        action: &'a ActionRecord,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(async move {
            // An action that has done a step was held already, also by an earlier server.
            if action.timeline.is_empty() {
                self.delays().hold(action, self.clock()).await;
            }
            let target = Target::Step { action: &action.kind, step: &action.step, takes_back: action.reason.is_some() };
            let (any, tagged) = self.faults().are_about(target, self.now());
            if !any {
                return Ok(());
            }
            let tags = match action.droplet {
                Some(droplet) if tagged => self.tags_of_droplet(droplet).await,
                Some(_) | None => Vec::new(),
            };
            for strike in self.faults().strike(target, &tags, self.now()) {
                if let Effect::StepError { message, transient, .. } = strike.effect {
                    let problem = message.unwrap_or_else(|| format!("fault {} was ordered", strike.id));
                    return Err(Error::Engine(EngineError::Host {
                        operation: "carry out the step",
                        problem,
                        transient,
                    }));
                }
            }
            Ok(())
        })
    }
}
