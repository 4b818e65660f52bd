//! Power actions: `power_on`, `power_off`, `shutdown`, `reboot`, `power_cycle` (DAC-1, DAC-2).
//!
//! The GPUs of a Droplet are handed to its machine before each start, and given back once it is off where the operator wants that.
//! Each step asks the engine for a state, never for a change, so doing it again is harmless; a restart is off and then on.

use dewpoint_api::DropletStatus;
use dewpoint_engine::{Error as EngineError, Power, PowerState};
use dewpoint_store::droplets::DropletChange;

use super::{
    effect::Effect,
    flow::{Context, Flow, Named},
    gpus::{self, GPUS},
};
use crate::Error;

/// Brings the machine to `power` and says what the Droplet is then.
async fn bring(cx: &Context, power: Power) -> Result<Effect, Error> {
    cx.engine().power(cx.machine(), power).await?;
    let status = match power {
        Power::On => DropletStatus::Active,
        Power::Off | Power::Shutdown => DropletStatus::Off,
    };
    Ok(DropletChange { status: Some(status), ..DropletChange::default() }.into())
}

/// What the Droplet really is after a failure: the engine is asked.
async fn as_observed(cx: &Context) -> Effect {
    let also = gpus::aftermath(cx).await;
    let status = match cx.engine().observe(cx.machine()).await {
        Ok(Some(observed)) => Some(match observed.power {
            PowerState::On => DropletStatus::Active,
            PowerState::Off => DropletStatus::Off,
        }),
        // The engine cannot tell now; the reconciler asks again later.
        Ok(None) | Err(_) => None,
    };
    Effect { change: DropletChange { status, ..DropletChange::default() }, also }
}

macro_rules! power_flow {
    ($(#[$meta:meta])* $name:ident { $($step:ident = $word:expr => $power:expr;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($step,)+
        }

        impl Flow for $name {
            const STEPS: &'static [Named<Self>] = &[$((Self::$step, $word)),+];

            fn is_for(self, cx: &Context) -> bool {
                self != Self::Gpus || cx.gpu_work().is_some()
            }

            async fn run(self, cx: &Context) -> Result<Effect, Error> {
                match self {
                    $(Self::$step => $power(cx).await,)+
                }
            }

            async fn aftermath(self, cx: &Context) -> Effect {
                as_observed(cx).await
            }
        }
    };
}

async fn on(cx: &Context) -> Result<Effect, Error> {
    bring(cx, Power::On).await
}

async fn off(cx: &Context) -> Result<Effect, Error> {
    bring(cx, Power::Off).await
}

async fn shutdown(cx: &Context) -> Result<Effect, Error> {
    bring(cx, Power::Shutdown).await
}

/// Asks the guest, and pulls the plug on one that does not listen.
async fn shutdown_or_off(cx: &Context) -> Result<Effect, Error> {
    match bring(cx, Power::Shutdown).await {
        Err(Error::Engine(EngineError::GuestIgnored(_))) => bring(cx, Power::Off).await,
        other => other,
    }
}

power_flow! {
    /// `power_on`
    PowerOnStep {
        Gpus = GPUS => gpus::take_before_start;
        On = "on" => on;
    }
}
power_flow! {
    /// `power_off`
    PowerOffStep {
        Off = "off" => off;
        Gpus = GPUS => gpus::let_go;
    }
}
power_flow! {
    /// `shutdown`
    ShutdownStep {
        Shutdown = "shutdown" => shutdown;
        Gpus = GPUS => gpus::let_go;
    }
}
power_flow! {
    /// `reboot`: the guest is asked first.
    RebootStep {
        Shutdown = "shutdown" => shutdown_or_off;
        Gpus = GPUS => gpus::take_before_start;
        On = "on" => on;
    }
}
power_flow! {
    /// `power_cycle`: the guest is not asked.
    PowerCycleStep {
        Off = "off" => off;
        Gpus = GPUS => gpus::take_before_start;
        On = "on" => on;
    }
}
