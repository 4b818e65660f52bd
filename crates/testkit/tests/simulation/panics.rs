//! A panic in any task of a seed is a promise that was broken, wherever it is caught.

use std::{cell::RefCell, panic, sync::Once};

use crate::promises::Broken;

thread_local! {
    /// What panicked on this thread, while seeds run on it.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Notes from here on what panics on this thread, instead of printing it.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let noted = SEEN.with_borrow_mut(|seen| seen.as_mut().map(|seen| seen.push(info.to_string())));
            if noted.is_none() {
                usual(info);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
}

/// Panics on this thread are printed again.
pub(crate) fn watch_no_more() {
    SEEN.set(None);
}

/// Fails when something panicked since [`watch`].
pub(crate) fn none() -> Result<(), Broken> {
    SEEN.with_borrow(|seen| match seen.as_deref() {
        Some([first, ..]) => Err(Broken(format!("panic: {first}"))),
        Some([]) | None => Ok(()),
    })
}
