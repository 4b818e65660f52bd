//! `[llama]`: how models of files on this host are served.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use dewpoint_server::LlamaConfig;
use serde::Deserialize;

/// Settings of each `dew-llama`; what is not said it decides itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LlamaFile {
    /// The program; relative to the configuration file.
    binary: Option<PathBuf>,
    threads: Option<u32>,
    context: Option<u32>,
    parallel: Option<u32>,
    memory_mib: Option<u32>,
}

/// Checks it. Fails with a sentence that names the setting.
pub(crate) fn llama(file: LlamaFile, beside: &Path) -> Result<LlamaConfig> {
    let LlamaFile { binary, threads, context, parallel, memory_mib } = file;
    for (name, value) in
        [("threads", threads), ("context", context), ("parallel", parallel), ("memory_mib", memory_mib)]
    {
        if value == Some(0) {
            bail!("llama.{name} is 0; leave it out, or give at least 1");
        }
    }
    // The server's child is started from another directory one day.
    let binary = binary.map(|path| std::path::absolute(beside.join(path))).transpose()?;
    Ok(LlamaConfig { binary, threads, context, parallel, memory_mib, ..LlamaConfig::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_for_the_program_to_decide_and_nothing_is_none() {
        let read = |text: &str| llama(toml::from_str(text).expect("its shape"), Path::new("/etc/dew"));
        assert_eq!(read("").expect("nothing said"), LlamaConfig::default());
        let said = read("binary = \"bin/dew-llama\"\nthreads = 1\nmemory_mib = 2048").expect("good ones");
        assert_eq!((said.threads, said.context, said.memory_mib), (Some(1), None, Some(2048)));
        assert_eq!(said.binary.as_deref(), Some(Path::new("/etc/dew/bin/dew-llama")));
        for name in ["threads", "context", "parallel", "memory_mib"] {
            let error = read(&format!("{name} = 0")).expect_err("it is nothing").to_string();
            assert!(error.contains(&format!("llama.{name}")), "{error}");
        }
    }
}
