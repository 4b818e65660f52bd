//! Files written, for tests: right ones, and wrong ones in one place.

use crate::kind::TensorKind;

/// A value of the metadata.
#[derive(Clone, Debug)]
pub enum Value {
    /// A whole number of 32 bits.
    U32(u32),
    /// A floating number.
    F32(f32),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<Vec<u8>>),
    /// Floating numbers.
    F32s(Vec<f32>),
    /// Whole numbers with a sign.
    I32s(Vec<i32>),
}

/// A file on its way: metadata and tensors in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pairs: u64,
    metadata: Vec<u8>,
    tensors: u64,
    places: Vec<u8>,
    data: Vec<u8>,
}

/// What tensors are aligned to.
const ALIGNMENT: usize = 32;

fn text(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend((bytes.len() as u64).to_le_bytes());
    into.extend(bytes);
}

fn list(into: &mut Vec<u8>, kind: u32, length: usize) {
    into.extend(9_u32.to_le_bytes());
    into.extend(kind.to_le_bytes());
    into.extend((length as u64).to_le_bytes());
}

impl Builder {
    /// Adds a pair of metadata.
    #[must_use]
    pub fn pair(mut self, key: &str, value: Value) -> Self {
        let out = &mut self.metadata;
        text(out, key.as_bytes());
        match value {
            Value::U32(number) => out.extend([4, number].map(u32::to_le_bytes).concat()),
            Value::F32(number) => out.extend([6_u32.to_le_bytes(), number.to_le_bytes()].concat()),
            Value::Bool(is) => out.extend([&7_u32.to_le_bytes()[..], &[u8::from(is)]].concat()),
            Value::Text(value) => {
                out.extend(8_u32.to_le_bytes());
                text(out, value.as_bytes());
            }
            Value::Texts(values) => {
                list(out, 8, values.len());
                values.iter().for_each(|value| text(out, value));
            }
            Value::F32s(values) => {
                list(out, 6, values.len());
                out.extend(values.into_iter().flat_map(f32::to_le_bytes));
            }
            Value::I32s(values) => {
                list(out, 5, values.len());
                out.extend(values.into_iter().flat_map(i32::to_le_bytes));
            }
        }
        self.pairs += 1;
        self
    }

    /// Adds a tensor of 32-bit floats, behind the ones before it.
    #[must_use]
    pub fn tensor(mut self, name: &str, dimensions: &[u64], weights: &[f32]) -> Self {
        let offset = self.data.len() as u64;
        self.data.extend(weights.iter().copied().flat_map(f32::to_le_bytes));
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        self.place(name, dimensions, TensorKind::F32.number, offset)
    }

    /// Tells of a tensor without its weights.
    #[must_use]
    pub fn place(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Self {
        let out = &mut self.places;
        text(out, name.as_bytes());
        out.extend(u32::try_from(dimensions.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(dimensions.iter().copied().flat_map(u64::to_le_bytes));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        self.tensors += 1;
        self
    }

    /// Adds bytes to the metadata as they are, as one more pair.
    #[must_use]
    pub fn raw_pair(mut self, bytes: &[u8]) -> Self {
        self.metadata.extend(bytes);
        self.pairs += 1;
        self
    }

    /// The file, of version 3.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend([self.tensors, self.pairs].map(u64::to_le_bytes).concat());
        file.extend(&self.metadata);
        file.extend(&self.places);
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend(&self.data);
        file
    }
}
