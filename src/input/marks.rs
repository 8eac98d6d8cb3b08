//! Where a few bytes stand among others: 64 are looked at together, so that marks that lie close cost little each.

use wide::u8x16;

/// The places of the bytes that are wanted, in order.
pub(super) struct Marks<'b, const N: usize> {
    bytes: &'b [u8],
    /// Each of them sixteen times.
    wanted: [u8x16; N],
    /// Where the block begins of which `left` says what is still to come, by a bit for each byte.
    block: usize,
    left: u64,
}

const BLOCK: usize = 64;

impl<'b, const N: usize> Marks<'b, N> {
    /// Of `wanted`, none of which is a NUL.
    pub(super) fn new(wanted: [u8; N], bytes: &'b [u8]) -> Marks<'b, N> {
        let mut marks = Marks { bytes, wanted: wanted.map(u8x16::splat), block: 0, left: 0 };
        marks.look();
        marks
    }

    /// Looks at the block; not inlined, so that [`Marks::next`] is.
    #[inline(never)]
    fn look(&mut self) {
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

impl<const N: usize> Iterator for Marks<'_, N> {
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
        let place = self.block + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(place)
    }
}

/// Fewer bytes than a block, with NULs behind them.
#[cold]
fn last_block(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// A bit for each byte of the block that is one of `wanted`.
#[inline]
fn found<const N: usize>(block: &[u8; BLOCK], wanted: [u8x16; N]) -> u64 {
    let (parts, _) = block.as_chunks();
    parts.iter().rev().fold(0, |bits, part| {
        let part = u8x16::new(*part);
        let is_wanted = wanted.iter().fold(u8x16::ZERO, |is_wanted, wanted| is_wanted | part.simd_eq(*wanted));
        bits << 16 | u64::from(is_wanted.to_bitmask())
    })
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
            let found: Vec<usize> = Marks::new(*b",", &bytes).collect();
            let expected: Vec<usize> = memchr::memchr_iter(b',', &bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
