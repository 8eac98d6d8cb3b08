//! Finds certain bytes, in blocks of 64, so that matches close together cost little.

/// The positions of the wanted bytes, in order.
pub(super) struct ByteScan<'b, const N: usize> {
    bytes: &'b [u8],
    wanted: [u8; N],
    /// The start of the block to which the bits of `left` belong, one for each byte.
    block: usize,
    left: u64,
}

const BLOCK: usize = 64;

impl<'b, const N: usize> ByteScan<'b, N> {
    /// Searches for `wanted`, none of which is a NUL.
    pub(super) fn new(wanted: [u8; N], bytes: &'b [u8]) -> ByteScan<'b, N> {
        let mut scan = ByteScan { bytes, wanted, block: 0, left: 0 };
        scan.scan_block();
        scan
    }

    /// Scans the block; not inlined, so that [`ByteScan::next`] is.
    #[inline(never)]
    fn scan_block(&mut self) {
        let rest = self.bytes.get(self.block..).unwrap_or_default();
        let last;
        let block = if let Some(block) = rest.first_chunk() {
            block
        } else {
            last = last_block(rest);
            &last
        };
        self.left = found(block, self.wanted);
    }
}

impl<const N: usize> Iterator for ByteScan<'_, N> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            if self.block + BLOCK >= self.bytes.len() {
                return None;
            }
            self.block += BLOCK;
            self.scan_block();
        }
        let position = self.block + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(position)
    }
}

/// The last bytes, padded with NULs to a block.
#[cold]
fn last_block(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// A bit for each byte of the block that is one of `wanted`. Written for vectorization.
#[inline]
fn found<const N: usize>(block: &[u8; BLOCK], wanted: [u8; N]) -> u64 {
    let is_wanted = block.map(|byte| wanted.iter().fold(0, |is_wanted, wanted| is_wanted | u8::from(byte == *wanted)));
    // The sum of eight different bits is their union.
    let bits: [u8; BLOCK] = std::array::from_fn(|at| is_wanted[at] << (at % 8));
    let (eights, _) = bits.as_chunks::<8>();
    u64::from_le_bytes(std::array::from_fn(|eight| eights[eight].iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_marks_are_found_in_order(bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300)) {
            let found: Vec<usize> = ByteScan::new(*b",\"\n", &bytes).collect();
            let expected: Vec<usize> = memchr::memchr3_iter(b',', b'"', b'\n', &bytes).collect();
            prop_assert_eq!(found, expected);
            let found: Vec<usize> = ByteScan::new(*b",", &bytes).collect();
            let expected: Vec<usize> = memchr::memchr_iter(b',', &bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
