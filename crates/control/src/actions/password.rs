//! `password_reset`: a new root password, set in the running guest and shown once.

use dewpoint_engine::Error as EngineError;

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow},
};
use crate::{Error, passwords};

/// The one step of a password reset. Done twice it sets another password, and the last one set is the one that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordStep {
    Set,
}

impl Flow for PasswordStep {
    const STEPS: &'static [Self] = &[Self::Set];

    fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Set => None,
        }
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Set => {
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
    }
}
