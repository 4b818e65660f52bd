//! The serial console: what a guest writes, and what is typed into it.

use dewpoint_engine::{Console, Engine, Power};
use tokio::{sync::broadcast::error::RecvError, time::timeout};

use crate::lab::{BOOT_LIMIT, ID, Lab};

/// Asks, hears and answers on the guest's serial terminal.
const ASKS: &str = "#!/bin/sh\nexec < /dev/ttyS0 > /dev/ttyS0\necho who is there\nread name\necho \"hello, $name\"\n";

/// Listens until the guest has written this, also before.
async fn hears(console: &mut Console, words: &str) {
    let has = |log: &[u8]| String::from_utf8_lossy(log).contains(words);
    while !has(&console.log) {
        let said = String::from_utf8_lossy(&console.log).into_owned();
        let piece = timeout(BOOT_LIMIT, console.output.recv()).await;
        let piece = piece.unwrap_or_else(|_| panic!("not heard: {words:?}, but {said:?}")).expect("it goes on");
        console.log.extend_from_slice(&piece);
    }
}

async fn console(lab: &Lab) -> Console {
    lab.engine.console(ID).await.expect("a look").expect("a console")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_answers_what_is_typed_and_its_console_ends_with_it() {
    let Some(lab) = Lab::open("a_guest_answers_what_is_typed_and_its_console_ends_with_it").await else { return };
    lab.started(Some(ASKS)).await;
    let mut first = console(&lab).await;
    assert!(first.is_on());
    hears(&mut first, "who is there").await;
    first.input.send("web\n".into()).await.expect("it takes it");
    hears(&mut first, "hello, web").await;
    let late = console(&lab).await;
    assert!(String::from_utf8_lossy(&late.log).contains("hello, web"), "one who comes later is shown it");

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    let ended = async { while !matches!(first.output.recv().await, Err(RecvError::Closed)) {} };
    timeout(BOOT_LIMIT, ended).await.expect("its console ends");
    let past = console(&lab).await;
    assert!(!past.is_on());
    assert!(String::from_utf8_lossy(&past.log).contains("hello, web"), "its log stays");
    lab.close().await;
}
