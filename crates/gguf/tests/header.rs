//! Headers, right and wrong: what is refused is refused with a reason, and nothing is believed.

use std::{
    io::{self, Cursor, Read},
    sync::LazyLock,
};

use dewpoint_gguf::{Builder, Error, Header, TensorKind, Value, bounds, read, tiny};
use proptest::prelude::*;

fn parse(file: &[u8]) -> Result<Header, Error> {
    read(Cursor::new(file), file.len() as u64)
}

fn refused(file: &[u8]) -> String {
    match parse(file) {
        Err(Error::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// A header that only says what it has to.
fn plain() -> Builder {
    Builder::default().pair("general.architecture", Value::Text("llama".into()))
}

/// A name with its length, and a type.
fn begun(key: &str, kind: u32) -> Vec<u8> {
    [&(key.len() as u64).to_le_bytes(), key.as_bytes(), &kind.to_le_bytes()].concat()
}

#[test]
fn a_tiny_model_says_what_it_is() {
    let file = tiny::model(7);
    assert!(file.len() < 1 << 20, "{} bytes", file.len());
    assert_eq!(file, tiny::model(7));
    assert_ne!(file, tiny::model(8));
    let header = parse(&file).expect("it is read");
    assert_eq!((header.version, header.architecture.as_str(), header.name.as_deref()), (3, "llama", Some("tiny 7")));
    assert_eq!((header.context_length, header.embedding_length, header.block_count), (Some(512), Some(64), Some(2)));
    assert_eq!((header.quantization.as_deref(), header.tokenizer.as_deref()), (Some("F32"), Some("llama")));
    assert_eq!(header.chat_template.as_deref(), Some(tiny::CHAT_TEMPLATE));
    let embedding = &header.tensors[0];
    assert_eq!((embedding.name.as_str(), embedding.kind, embedding.offset), ("token_embd.weight", TensorKind::F32, 0));
    assert_eq!(header.vocabulary, Some(embedding.dimensions[1]));
    let last = header.tensors.last().expect("it has tensors");
    assert_eq!(header.data_begins + last.offset + last.bytes, file.len() as u64);
    assert_eq!(header.parameters * 4, header.tensors.iter().map(|tensor| tensor.bytes).sum::<u64>());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let file = tiny::model(1);
    let header = parse(&file).expect("it is read");
    let begins = usize::try_from(header.data_begins).expect("a place");
    let ends =
        header.tensors.iter().map(|tensor| begins + usize::try_from(tensor.offset + tensor.bytes).expect("a place"));
    let in_weights = ends.map(|end| end - 1).chain((begins..file.len()).step_by(997));
    for length in (0..begins).chain(in_weights) {
        assert!(!refused(&file[..length]).is_empty(), "cut off after {length}");
        if length < begins {
            // A file that got shorter since its length was asked for.
            let lying = read(Cursor::new(&file[..length]), file.len() as u64);
            assert!(matches!(lying, Err(Error::Malformed { .. })) || length + 32 > begins, "{length}: {lying:?}");
        }
    }
}

#[test]
fn what_is_no_model_of_this_format_is_told_by_what_it_is() {
    assert!(refused(b"").contains("no GGUF"));
    assert!(refused(b"PK\x03\x04 a zip file of some length, surely").contains("does not begin with GGUF"));
    let of_version = |version: [u8; 4]| [&b"GGUF"[..], &version, &[0; 64]].concat();
    assert!(refused(&of_version([1, 0, 0, 0])).contains("too old"));
    assert!(refused(&of_version([0, 0, 0, 3])).contains("big-endian"));
    assert!(refused(&of_version([99, 0, 0, 1])).contains("version 16777315"));
    assert!(refused(&of_version([3, 0, 0, 0])).contains("general.architecture"));
    let mut second = plain().build();
    second[4] = 2;
    assert_eq!(parse(&second).expect("it is read").version, 2);
}

#[test]
fn counts_and_lengths_are_not_believed() {
    let counts = |tensors: u64, pairs: u64| {
        [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &pairs.to_le_bytes(), &[0; 64]].concat()
    };
    for many in [bounds::TENSORS + 1, u64::MAX] {
        assert!(refused(&counts(many, 0)).contains("tensors"));
    }
    for many in [bounds::PAIRS + 1, u64::MAX] {
        assert!(refused(&counts(0, many)).contains("pairs"));
    }
    for length in [bounds::KEY + 1, u64::MAX] {
        assert!(refused(&plain().raw_pair(&length.to_le_bytes()).build()).contains("a name of its metadata"));
    }
    let text =
        |key: &str, length: u64| plain().raw_pair(&[begun(key, 8), length.to_le_bytes().to_vec()].concat()).build();
    assert!(refused(&text("tokenizer.chat_template", bounds::TEXT + 1)).contains("at most"));
    for length in [1 << 20, u64::MAX] {
        assert!(refused(&text("some.other", length)).contains("cut off"));
    }
    let list = |kind: u32, length: u64| {
        let bytes = [begun("some.list", 9), kind.to_le_bytes().to_vec(), length.to_le_bytes().to_vec()].concat();
        plain().raw_pair(&bytes).build()
    };
    for length in [bounds::ITEMS + 1, u64::MAX] {
        assert!(refused(&list(4, length)).contains("at most"));
    }
    for kind in [0, 4, 8, 9, 12] {
        assert!(refused(&list(kind, bounds::ITEMS)).contains("cut off"), "kind {kind}");
    }
    assert!(refused(&list(13, 0)).contains("unknown type 13"));
    assert!(refused(&plain().raw_pair(&begun("a", 99)).build()).contains("unknown type 99"));
    assert!(refused(&plain().raw_pair(&[begun("a", 7), vec![2]].concat()).build()).contains("0 or 1"));
}

#[test]
fn lists_in_lists_are_read_so_deep_and_no_deeper() {
    let nested = |depth: u32| {
        let level = [9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat();
        let inner = [4_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec(), vec![1, 0, 0, 0]].concat();
        let bytes = [begun("some.list", 9), level.repeat(depth as usize - 1), inner].concat();
        plain().raw_pair(&bytes).build()
    };
    assert!(parse(&nested(bounds::DEPTH)).is_ok());
    for depth in [bounds::DEPTH + 1, 1000] {
        assert!(refused(&nested(depth)).contains("lists in lists"), "{depth}");
    }
}

#[test]
fn tensors_lie_in_the_file_beside_each_other() {
    let place = |dimensions: &[u64], kind: u32, offset: u64| {
        plain().tensor("first", &[8], &[0.5; 8]).place("second", dimensions, kind, offset).build()
    };
    assert!(refused(&place(&[8], 0, 0)).contains("lie on each other"));
    assert!(refused(&place(&[8], 0, 32)).contains("not whole"));
    assert!(refused(&place(&[8], 0, u64::MAX - 31)).contains("not whole"));
    assert!(refused(&place(&[1], 0, 4)).contains("not aligned"));
    assert!(refused(&place(&[0], 0, 32)).contains("impossible dimensions"));
    assert!(refused(&place(&[u64::MAX, 2], 0, 32)).contains("impossible dimensions"));
    assert!(refused(&place(&[1 << 62], 0, 32)).contains("impossible dimensions"));
    assert!(refused(&place(&[1, 1, 1, 1, 1], 0, 32)).contains("5 dimensions"));
    assert!(refused(&place(&[33], 8, 32)).contains("32 in a block"));
    assert!(refused(&place(&[32], 4, 32)).contains("unknown way 4"));
    let twice = plain().tensor("same", &[1], &[1.0]).tensor("same", &[1], &[1.0]);
    assert!(refused(&twice.build()).contains("two tensors"));
    let long = plain().tensor(&"x".repeat(64), &[1], &[1.0]);
    assert!(refused(&long.build()).contains("a tensor's name"));
    let good = plain().tensor("a", &[1], &[1.0]).tensor("b", &[2, 2], &[1.0; 4]).build();
    assert_eq!(parse(&good).expect("it is read").parameters, 5);
}

#[test]
fn metadata_makes_sense_or_is_refused() {
    assert!(refused(&plain().pair("a", Value::U32(1)).pair("a", Value::U32(1)).build()).contains("twice"));
    for alignment in [0, 3, 1 << 20] {
        let file = plain().pair("general.alignment", Value::U32(alignment)).build();
        assert!(refused(&file).contains("general.alignment"), "{alignment}");
    }
    let text = plain().pair("general.alignment", Value::Text("32".into())).build();
    assert!(refused(&text).contains("general.alignment"));
    // Of another type than it should be is as if it were not said.
    let file = plain().pair("llama.context_length", Value::Text("many".into())).pair("split.count", Value::U32(3));
    let header = parse(&file.build()).expect("it is read");
    assert_eq!((header.context_length, header.parts, header.quantization), (None, 3, None));
    let bytes = [begun("general.name", 8), 2_u64.to_le_bytes().to_vec(), vec![0xff, 0xfe]].concat();
    assert!(refused(&plain().raw_pair(&bytes).build()).contains("UTF-8"));
}

/// A disk that breaks.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is broken"))
    }
}

#[test]
fn a_disk_that_breaks_is_not_the_models_fault() {
    assert!(matches!(read(Broken, 1000), Err(Error::Io(_))));
}

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| tiny::model(3));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the bytes of the header, what is taken lies within the file.
    #[test]
    fn what_is_taken_lies_within_the_file(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = WHOLE.clone();
        let begins = usize::try_from(parse(&file).expect("it is read").data_begins).expect("a place");
        for (place, byte) in changes {
            file[place.index(begins)] = byte;
        }
        if let Ok(header) = parse(&file) {
            for tensor in &header.tensors {
                let end = header.data_begins.checked_add(tensor.offset).and_then(|at| at.checked_add(tensor.bytes));
                prop_assert!(end.is_some_and(|end| end <= file.len() as u64), "{tensor:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let file = [&b"GGUF\x03\0\0\0"[..], &bytes].concat();
        let _ = parse(&file);
    }
}
