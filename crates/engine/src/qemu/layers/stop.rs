//! A server that ends in the middle of a freeze, for tests.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Point;

/// Where the next freeze stops for good, as if the server had ended there.
#[derive(Debug, Default)]
pub(in crate::qemu) struct Stop {
    at: Mutex<Option<Point>>,
    reached: Notify,
}

impl Stop {
    /// Runs `work` until it stands at `point`, and drops it there.
    pub(in crate::qemu) async fn end_at<T>(&self, point: Point, work: impl Future<Output = T>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
        tokio::select! {
            _ = work => panic!("it did not pass {point:?}"),
            () = self.reached.notified() => {}
        }
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs `work` until it stands at `point`, and while it stands there `meanwhile`.
    pub(in crate::qemu) async fn stand_at<T>(
        &self,
        point: Point,
        work: impl Future<Output = T>,
        meanwhile: impl Future<Output = ()>,
    ) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
        let mut work = std::pin::pin!(work);
        tokio::select! {
            _ = &mut work => panic!("it did not pass {point:?}"),
            () = self.reached.notified() => {}
        }
        meanwhile.await;
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn here(&self, point: Point) {
        if *self.at.lock().unwrap_or_else(PoisonError::into_inner) == Some(point) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
