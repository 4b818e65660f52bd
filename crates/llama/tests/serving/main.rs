//! `dew-llama` from outside: the binary, its socket, its ends. With tiny models of chance, and with a real one.

mod common;
mod ends;
mod real;
mod tiny;
