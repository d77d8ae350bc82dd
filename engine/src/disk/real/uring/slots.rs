//! Numbered places that are used again.

/// Things by number; a number is free again when its thing is removed.
#[derive(Debug)]
pub(super) struct Slots<T> {
    things: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(super) fn insert(&mut self, thing: T) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.things[slot] = Some(thing);
                slot
            }
            None => {
                self.things.push(Some(thing));
                self.things.len() - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> &mut T {
        self.things[slot].as_mut().expect("the slot is in use")
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.things[slot].take().expect("the slot is in use");
        self.free.push(slot);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.things.len() == self.free.len()
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let mut slots = Slots::default();
        assert!(slots.is_empty());
        let (first, second) = (slots.insert('a'), slots.insert('b'));
        slots.remove(first);
        assert_eq!(slots.insert('c'), first);
        assert_eq!((*slots.get_mut(first), *slots.get_mut(second)), ('c', 'b'));
        slots.remove(first);
        slots.remove(second);
        assert!(slots.is_empty());
    }
}
