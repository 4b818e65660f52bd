//! The header of a file: what the model is, and where its weights lie.

use std::{
    collections::{HashMap, HashSet},
    io::Read,
};

use crate::{
    cursor::{Cursor, Error},
    kind::{TensorKind, file_type},
};

/// What a header may have. Files in use stay far below.
pub mod bounds {
    /// Most pairs of metadata.
    pub const PAIRS: u64 = 4096;
    /// Most bytes of a pair's name.
    pub const KEY: u64 = 1024;
    /// Most bytes of a text that is kept, such as a chat template.
    pub const TEXT: u64 = 4 * 1024 * 1024;
    /// Most items of a list, such as the vocabulary, those of lists in it together.
    pub const ITEMS: u64 = 16 * 1024 * 1024;
    /// How deep lists may lie in lists.
    pub const DEPTH: u32 = 4;
    /// Most tensors.
    pub const TENSORS: u64 = 65_536;
    /// Most bytes of a tensor's name.
    pub const TENSOR_NAME: u64 = 63;
    /// Most dimensions of a tensor.
    pub const DIMENSIONS: u32 = 4;
    /// Most bytes that tensors may be aligned to.
    pub const ALIGNMENT: u64 = 65_536;
    /// Most bytes of the whole header.
    pub const HEADER: u64 = 512 * 1024 * 1024;
}

/// What a file's header says of the model in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Of the format: 2 or 3.
    pub version: u32,
    /// Such as `llama`.
    pub architecture: String,
    /// What its makers call it.
    pub name: Option<String>,
    /// Most tokens it was trained to hold.
    pub context_length: Option<u64>,
    /// How many numbers stand for one token.
    pub embedding_length: Option<u64>,
    /// How many layers it has.
    pub block_count: Option<u64>,
    /// How its weights are written, such as `Q4_K_M`: as the file says, else as most of its bytes are.
    pub quantization: Option<String>,
    /// How conversations are put to it, in Jinja.
    pub chat_template: Option<String>,
    /// What makes tokens of text, such as `gpt2`.
    pub tokenizer: Option<String>,
    /// How many tokens it knows.
    pub vocabulary: Option<u64>,
    /// How many weights it has.
    pub parameters: u64,
    /// How many files the model is in; this is one of them.
    pub parts: u64,
    /// What tensors are aligned to, in bytes.
    pub alignment: u64,
    /// Where the weights begin in the file.
    pub data_begins: u64,
    /// Where they are.
    pub tensors: Vec<Tensor>,
}

/// Where some weights are.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// What it is called, such as `token_embd.weight`.
    pub name: String,
    /// How its weights are written.
    pub kind: TensorKind,
    /// How many there are in each dimension, the fastest first.
    pub dimensions: Vec<u64>,
    /// Where it begins, counted from where the weights begin.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// A value that may be wanted; lists are passed over but for how long they are.
enum Found {
    Number(u64),
    Text(String),
    List(u64),
    Other,
}

/// Reads the header of a file of `length` bytes, from its first byte on. Reads no weights.
///
/// Fails when `source` cannot be read, or is no model that could be loaded.
pub fn read(source: impl Read, length: u64) -> Result<Header, Error> {
    let mut cursor = Cursor::new(source, length);
    let version = version(&mut cursor)?;
    let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
    if tensors > bounds::TENSORS {
        return Err(cursor.malformed(format!("it tells of {tensors} tensors; at most {} are read", bounds::TENSORS)));
    }
    if pairs > bounds::PAIRS {
        return Err(cursor.malformed(format!("it tells of {pairs} pairs; at most {} are read", bounds::PAIRS)));
    }
    let found = read_pairs(&mut cursor, pairs)?;
    let mut header = known(&cursor, &found)?;
    header.version = version;
    header.tensors = read_tensors(&mut cursor, tensors)?;
    header.data_begins = cursor.at().next_multiple_of(header.alignment);
    check_places(&cursor, &header, length)?;
    let mut by_kind: HashMap<u32, u64> = HashMap::new();
    for tensor in &header.tensors {
        // No sum of lengths within one file is too large; of counts it may be, with blocks of many weights.
        let count = tensor.dimensions.iter().product::<u64>();
        header.parameters = header.parameters.saturating_add(count);
        *by_kind.entry(tensor.kind.number).or_default() += tensor.bytes;
    }
    if header.quantization.is_none() {
        let most = by_kind.into_iter().max_by_key(|(number, bytes)| (*bytes, *number));
        header.quantization = most.and_then(|(number, _)| TensorKind::of(number)).map(|kind| kind.name.to_owned());
    }
    Ok(header)
}

fn version<R: Read>(cursor: &mut Cursor<R>) -> Result<u32, Error> {
    let magic: [u8; 4] = cursor.array().map_err(|error| match error {
        Error::Malformed { at, .. } => {
            Error::Malformed { at, problem: "it is no GGUF file: it is too short".to_owned() }
        }
        error @ Error::Io(_) => error,
    })?;
    if magic != *b"GGUF" {
        return Err(cursor.malformed("it is no GGUF file: it does not begin with GGUF"));
    }
    match cursor.u32()? {
        version @ (2 | 3) => Ok(version),
        1 => Err(cursor.malformed("it is of version 1 of the format, which is too old; convert the model anew")),
        version if version.swap_bytes() <= 0xffff => {
            Err(cursor.malformed("it is written for big-endian machines; convert the model anew"))
        }
        version => Err(cursor.malformed(format!("it is of version {version} of the format; 2 and 3 are known"))),
    }
}

fn read_pairs<R: Read>(cursor: &mut Cursor<R>, pairs: u64) -> Result<HashMap<String, Found>, Error> {
    let mut found = HashMap::new();
    for _ in 0..pairs {
        let key = cursor.text("a name of its metadata", bounds::KEY)?;
        let kind = cursor.u32()?;
        let value = read_value(cursor, &key, kind)?;
        if found.contains_key(&key) {
            return Err(cursor.malformed(format!("it says {key:?} twice")));
        }
        found.insert(key, value);
    }
    Ok(found)
}

/// How many bytes a value of this number takes, where all take the same.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The texts that are of use; others are passed over.
const TEXTS: [&str; 4] = ["general.architecture", "general.name", "tokenizer.ggml.model", "tokenizer.chat_template"];
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

fn read_value<R: Read>(cursor: &mut Cursor<R>, key: &str, kind: u32) -> Result<Found, Error> {
    Ok(match kind {
        0 => Found::Number(cursor.array::<1>()?[0].into()),
        2 => Found::Number(u16::from_le_bytes(cursor.array()?).into()),
        4 => Found::Number(cursor.u32()?.into()),
        // A count is never negative, whatever its writer thought to need.
        5 => whole(i64::from(i32::from_le_bytes(cursor.array()?))),
        10 => Found::Number(cursor.u64()?),
        11 => whole(i64::from_le_bytes(cursor.array()?)),
        BOOL => {
            let [value] = cursor.array()?;
            if value > 1 {
                return Err(cursor.malformed(format!("its {key:?} is {value}, and has to be 0 or 1")));
            }
            Found::Other
        }
        TEXT if TEXTS.contains(&key) => Found::Text(cursor.text(&format!("its {key:?}"), bounds::TEXT)?),
        TEXT => {
            let length = cursor.u64()?;
            cursor.skip(length)?;
            Found::Other
        }
        LIST => {
            let mut items = bounds::ITEMS;
            Found::List(skip_list(cursor, key, &mut items, bounds::DEPTH)?)
        }
        _ => match width(kind) {
            Some(width) => {
                cursor.skip(width)?;
                Found::Other
            }
            None => return Err(cursor.malformed(format!("its {key:?} is of the unknown type {kind}"))),
        },
    })
}

fn whole(number: i64) -> Found {
    u64::try_from(number).map_or(Found::Other, Found::Number)
}

/// Passes over a list, and says how long it is. `items` is how many more there may be, in all the lists of this one.
fn skip_list<R: Read>(cursor: &mut Cursor<R>, key: &str, items: &mut u64, depth: u32) -> Result<u64, Error> {
    if depth == 0 {
        return Err(cursor.malformed(format!("its {key:?} has lists in lists more than {} deep", bounds::DEPTH)));
    }
    let (kind, length) = (cursor.u32()?, cursor.u64()?);
    *items = items.checked_sub(length).ok_or_else(|| {
        cursor.malformed(format!("its {key:?} is a list of {length}; at most {} are read", bounds::ITEMS))
    })?;
    match (kind, width(kind)) {
        (_, Some(width)) => cursor.skip(length * width)?,
        (TEXT, _) => {
            // Each has its length before it: told before the first is looked at.
            cursor.expect(length * 8)?;
            for _ in 0..length {
                let length = cursor.u64()?;
                cursor.skip(length)?;
            }
        }
        (LIST, _) => {
            cursor.expect(length * 12)?;
            for _ in 0..length {
                skip_list(cursor, key, items, depth - 1)?;
            }
        }
        _ => return Err(cursor.malformed(format!("its {key:?} is a list of the unknown type {kind}"))),
    }
    Ok(length)
}

/// What of the metadata is of use.
fn known<R: Read>(cursor: &Cursor<R>, found: &HashMap<String, Found>) -> Result<Header, Error> {
    let text = |key: &str| match found.get(key) {
        Some(Found::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |key: &str| match found.get(key) {
        Some(Found::Number(number)) => Some(*number),
        _ => None,
    };
    let architecture = text("general.architecture").filter(|name| !name.is_empty());
    let architecture = architecture.ok_or_else(|| cursor.malformed("it does not say its general.architecture"))?;
    let of_architecture = |what: &str| number(&format!("{architecture}.{what}"));
    let alignment = match found.get("general.alignment") {
        None => 32,
        Some(Found::Number(alignment)) if alignment.is_power_of_two() && *alignment <= bounds::ALIGNMENT => *alignment,
        Some(_) => {
            let most = bounds::ALIGNMENT;
            return Err(cursor.malformed(format!("its general.alignment is no power of two from 1 to {most}")));
        }
    };
    let listed = match found.get("tokenizer.ggml.tokens") {
        Some(Found::List(length)) => Some(*length),
        _ => None,
    };
    let file_type = number("general.file_type").and_then(|number| u32::try_from(number).ok()).and_then(file_type);
    Ok(Header {
        name: text("general.name").filter(|name| !name.is_empty()),
        context_length: of_architecture("context_length"),
        embedding_length: of_architecture("embedding_length"),
        block_count: of_architecture("block_count"),
        quantization: file_type.map(str::to_owned),
        chat_template: text("tokenizer.chat_template").filter(|template| !template.is_empty()),
        tokenizer: text("tokenizer.ggml.model"),
        vocabulary: listed.or_else(|| of_architecture("vocab_size")),
        parts: number("split.count").unwrap_or(1).max(1),
        alignment,
        architecture,
        ..Header::default()
    })
}

fn read_tensors<R: Read>(cursor: &mut Cursor<R>, count: u64) -> Result<Vec<Tensor>, Error> {
    // The least that one takes: its name's length, how many dimensions, its kind, its place.
    cursor.expect(count * 24)?;
    let (mut tensors, mut names) = (Vec::new(), HashSet::new());
    for _ in 0..count {
        let tensor = read_tensor(cursor)?;
        if !names.insert(tensor.name.clone()) {
            return Err(cursor.malformed(format!("it has two tensors of the name {:?}", tensor.name)));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor<R: Read>(cursor: &mut Cursor<R>) -> Result<Tensor, Error> {
    let name = cursor.text("a tensor's name", bounds::TENSOR_NAME)?;
    let count = cursor.u32()?;
    if count > bounds::DIMENSIONS {
        let problem = format!("the tensor {name:?} has {count} dimensions; it may have {}", bounds::DIMENSIONS);
        return Err(cursor.malformed(problem));
    }
    let mut dimensions = Vec::new();
    let mut weights: u64 = 1;
    for _ in 0..count {
        let dimension = cursor.u64()?;
        let product = weights.checked_mul(dimension).filter(|product| (1..=i64::MAX as u64).contains(product));
        weights = product.ok_or_else(|| cursor.malformed(format!("the tensor {name:?} has impossible dimensions")))?;
        dimensions.push(dimension);
    }
    let number = cursor.u32()?;
    let kind = TensorKind::of(number)
        .ok_or_else(|| cursor.malformed(format!("the tensor {name:?} is written in the unknown way {number}")))?;
    let row = dimensions.first().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block) {
        let problem =
            format!("the tensor {name:?} has rows of {row} weights, and {} has {} in a block", kind.name, kind.block);
        return Err(cursor.malformed(problem));
    }
    let bytes = (weights / kind.block).checked_mul(kind.bytes);
    let bytes = bytes.ok_or_else(|| cursor.malformed(format!("the tensor {name:?} has impossible dimensions")))?;
    Ok(Tensor { name, kind, dimensions, offset: cursor.u64()?, bytes })
}

/// That every tensor lies within the file, aligned, and no two lie on each other.
fn check_places<R: Read>(cursor: &Cursor<R>, header: &Header, length: u64) -> Result<(), Error> {
    let room = length.saturating_sub(header.data_begins);
    let mut places: Vec<(u64, u64, &str)> = Vec::new();
    for tensor in &header.tensors {
        let name = &tensor.name;
        if !tensor.offset.is_multiple_of(header.alignment) {
            let problem = format!("the tensor {name:?} is not aligned to {} bytes", header.alignment);
            return Err(cursor.malformed(problem));
        }
        let end = tensor.offset.checked_add(tensor.bytes).filter(|end| *end <= room);
        let end = end.ok_or_else(|| {
            let problem = "is not in the file, or not whole: the file is cut off, or lies about it";
            cursor.malformed(format!("the tensor {name:?} {problem}"))
        })?;
        places.push((tensor.offset, end, name));
    }
    places.sort_unstable();
    for pair in places.windows(2) {
        if let [(_, end, first), (begin, _, second)] = pair
            && begin < end
        {
            return Err(cursor.malformed(format!("the tensors {first:?} and {second:?} lie on each other")));
        }
    }
    Ok(())
}
