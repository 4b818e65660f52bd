//! Where the program is that answers with a model's file.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// What it is called.
const NAME: &str = "dew-llama";

/// Finds it: the one that the configuration names and no other; else one beside this program, then one in PATH, then the one
/// that the environment's DEW_LLAMA names.
///
/// Fails with a sentence that says what to do.
pub(super) fn find(configured: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = configured {
        return match is_program(path) {
            true => Ok(path.to_owned()),
            false => Err(format!("{} is no program that can be run; llama.binary names it.", path.display())),
        };
    }
    let beside = env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    among(beside.as_deref(), env::var_os("PATH").as_deref(), env::var_os("DEW_LLAMA").as_deref())
}

fn among(beside: Option<&Path>, path: Option<&OsStr>, named: Option<&OsStr>) -> Result<PathBuf, String> {
    let in_path = path.into_iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute());
    let named = named.filter(|name| !name.is_empty()).map(PathBuf::from);
    let places = beside.map(Path::to_owned).into_iter().chain(in_path).map(|dir| dir.join(NAME));
    places.chain(named).find(|place| is_program(place)).ok_or_else(|| {
        format!(
            "{NAME} is missing, which answers with models' files: `make llama` builds it. It is looked for beside dew, in PATH, \
             and where DEW_LLAMA says."
        )
    })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_for_beside_dew_then_in_path_then_where_the_environment_says() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = |name: &str| {
            let dir = root.path().join(name);
            fs::create_dir(&dir).expect("a directory");
            fs::write(dir.join(NAME), "").expect("a file");
            dir
        };
        let (beside, in_path, named) = (dir("beside"), dir("path"), dir("named").join(NAME));
        let path = env::join_paths([root.path(), &in_path]).expect("a path");
        let look = || among(Some(&beside), Some(&path), Some(named.as_os_str()));
        // None of them can be run yet.
        let missing = look().expect_err("there is none");
        assert!(missing.contains("make llama") && missing.contains("DEW_LLAMA"), "{missing}");
        for expected in [&named, &in_path.join(NAME), &beside.join(NAME)] {
            fs::set_permissions(expected, fs::Permissions::from_mode(0o755)).expect("its permissions");
            assert_eq!(look().as_ref(), Ok(expected));
        }
        assert!(find(Some(&root.path().join("nothing"))).expect_err("it is not there").contains("llama.binary"));
    }
}
