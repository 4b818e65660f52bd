//! An access token that is sent and never shown.

use std::fmt;

use http::HeaderValue;

use crate::{Error, Result};

/// An access token. It goes into one header and nowhere else: not into `Debug`, not into errors, not into spans.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// A token, such as `dop_v1_…`. White space around it is dropped, since files end in a newline.
    ///
    /// Fails with [`Error::Config`] when it is empty or holds what a header cannot.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref().trim();
        if text.is_empty() {
            return Err(Error::config("the access token is empty"));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| Error::config("the access token holds characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
