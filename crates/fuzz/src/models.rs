//! Headers of models' files.

use dewpoint_gguf::{bounds, read};

/// A file: what is taken of it lies within it, aligned and beside each other, and says no more than is read.
pub(crate) fn header(data: &[u8]) {
    let Ok(header) = read(data, data.len() as u64) else { return };
    assert!(!header.architecture.is_empty() && header.alignment.is_power_of_two());
    assert!(header.tensors.len() as u64 <= bounds::TENSORS);
    let mut places = Vec::new();
    for tensor in &header.tensors {
        let begin = header.data_begins.checked_add(tensor.offset).expect("a place in the file");
        let end = begin.checked_add(tensor.bytes).expect("a place in the file");
        assert!(end <= data.len() as u64 && begin % header.alignment == 0, "{tensor:?}");
        places.push((begin, end));
    }
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two tensors lie on each other");
}
