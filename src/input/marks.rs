//! Where three bytes stand among others: eight are looked at together, so that marks that lie close cost little each.

/// The places of the bytes that are wanted, in order.
pub(super) struct Marks<'b> {
    bytes: &'b [u8],
    /// Each eight times.
    wanted: [u64; 3],
    /// Where the block begins of which `left` says what is still to come, by the highest bit of each byte.
    block: usize,
    left: u64,
}

const BLOCK: usize = 8;

impl<'b> Marks<'b> {
    /// Of `wanted`, none of which is a NUL.
    pub(super) fn new(wanted: [u8; 3], bytes: &'b [u8]) -> Marks<'b> {
        let mut marks =
            Marks { bytes, wanted: wanted.map(|byte| u64::from_ne_bytes([byte; BLOCK])), block: 0, left: 0 };
        marks.look();
        marks
    }

    #[inline]
    fn look(&mut self) {
        let rest = self.bytes.get(self.block..).unwrap_or_default();
        let block = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            block
        });
        self.left = found(block, self.wanted);
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            if self.block + BLOCK >= self.bytes.len() {
                return None;
            }
            self.block += BLOCK;
            self.look();
        }
        let place = self.block + self.left.trailing_zeros() as usize / 8;
        self.left &= self.left - 1;
        Some(place)
    }
}

/// The highest bit of each byte in a word.
const HIGHEST: u64 = u64::from_ne_bytes([0x80; BLOCK]);

/// The highest bit of each byte of the block that is one of `wanted`.
#[inline]
fn found(block: [u8; BLOCK], wanted: [u64; 3]) -> u64 {
    let word = u64::from_le_bytes(block);
    // Of a byte that is not the same, the highest bit is set: by itself, or carried by the sum of the others.
    let others = wanted.map(|same| {
        let differs = word ^ same;
        ((differs & !HIGHEST) + !HIGHEST) | differs
    });
    !(others[0] & others[1] & others[2]) & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_are_found_in_order(bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300)) {
            let found: Vec<usize> = Marks::new(*b",\"\n", &bytes).collect();
            let expected: Vec<usize> = memchr::memchr3_iter(b',', b'"', b'\n', &bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
