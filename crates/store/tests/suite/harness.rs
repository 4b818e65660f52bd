//! A fresh store for each case, on either database.

use std::{io::Write as _, path::PathBuf};

use dewpoint_store::{Error, Store, Tx, sqlite};
use tempfile::TempDir;

/// Makes two tests of each case named: `sqlite::case` and `postgres::case`.
macro_rules! on_each_database {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&$crate::harness::Database::sqlite()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let name = concat!(module_path!(), "::", stringify!($case));
                if let Some(database) = $crate::harness::Database::postgres(name) {
                    super::$case(&database).await;
                }
            })+
        }
    };
}
pub(crate) use on_each_database;

/// An empty store of one test; it goes when the test ends.
pub(crate) struct Database {
    pub(crate) store: Store,
    place: Place,
}

enum Place {
    Sqlite(TempDir),
    #[cfg(feature = "postgres")]
    Postgres(crate::servers::Schema),
}

impl Database {
    /// A store in a file of its own.
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let store = sqlite::open(&file_in(&directory)).expect("a new store opens");
        Self { store, place: Place::Sqlite(directory) }
    }

    /// Opens the same store once more, as a second server would.
    pub(crate) fn again(&self) -> Store {
        match &self.place {
            Place::Sqlite(directory) => sqlite::open(&file_in(directory)).expect("the store opens again"),
            #[cfg(feature = "postgres")]
            Place::Postgres(schema) => dewpoint_store::postgres::open(&schema.url()).expect("the store opens again"),
        }
    }

    /// A store in a schema of its own on the server that the environment names; `None` when it names none, and then says so.
    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(name: &str) -> Option<Self> {
        let schema = crate::servers::Schema::new(name)?;
        let store = dewpoint_store::postgres::open(&schema.url()).expect("a new store opens");
        Some(Self { store, place: Place::Postgres(schema) })
    }

    /// Says that there is no PostgreSQL here.
    #[cfg(not(feature = "postgres"))]
    pub(crate) fn postgres(name: &str) -> Option<Self> {
        not_tested(name, "built without the feature `postgres`");
        None
    }

    /// The schema of a store on PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) fn schema(&self) -> &crate::servers::Schema {
        match &self.place {
            Place::Sqlite(_) => unreachable!("asked of PostgreSQL's stores only"),
            Place::Postgres(schema) => schema,
        }
    }

    /// Runs a write that must succeed.
    pub(crate) async fn write<T, F>(&self, work: F) -> T
    where
        F: FnMut(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.store.write(work).await.expect("the write is good")
    }

    /// Runs a write that must fail.
    pub(crate) async fn refused<T, F>(&self, work: F) -> Error
    where
        F: FnMut(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
        T: Send + std::fmt::Debug + 'static,
    {
        self.store.write(work).await.expect_err("the write must fail")
    }

    /// Runs a read that must succeed.
    pub(crate) async fn read<T, F>(&self, work: F) -> T
    where
        F: FnMut(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.store.read(work).await.expect("the read is good")
    }
}

#[cfg(feature = "postgres")]
impl Drop for Database {
    fn drop(&mut self) {
        if let Place::Postgres(schema) = &self.place {
            schema.remove();
        }
    }
}

fn file_in(directory: &TempDir) -> PathBuf {
    directory.path().join("dew.db")
}

/// Says by name that a test was not run, past the test runner's capture.
pub(crate) fn not_tested(name: &str, why: &str) {
    // In one piece, since tests run side by side. Nobody is left to tell if even this fails.
    let _ = std::io::stderr().write_all(format!("NOT TESTED {name}: {why}\n").as_bytes());
}
