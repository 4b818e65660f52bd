//! `password_reset`: a new root password, set in the running guest and shown once.

use dewpoint_engine::Error as EngineError;

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named},
};
use crate::{Error, passwords};

/// The one step of a password reset. Done twice it sets another password, and the last one set is the one that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PasswordStep;

impl Flow for PasswordStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "set")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let password = passwords::make().await?;
        match cx.engine().set_password(cx.machine(), &password.hash).await {
            Ok(()) => Ok(Also::KeepPassword(password).into()),
            Err(EngineError::GuestIgnored(_)) => Err(Error::invalid(
                "nothing in the guest answers to this: install and start qemu-guest-agent in it, or rebuild the \
                 Droplet, which gives it a new password",
            )),
            Err(other) => Err(other.into()),
        }
    }
}
