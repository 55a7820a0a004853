//! The memories of caches: block RAM with a port that reads and a port that writes, and a small one that is read at once.
use crate::prelude::*;

/// The low 64 bits of a signal's value.
fn bits64<const W: usize>(value: Bits<W>) -> u64 {
    (0..W).fold(0, |word, bit| word | u64::from(value.get_bit(bit)) << bit)
}

/// Words of W bits (at most 64) in LANES lanes that are written each for itself. What is read arrives in the next clock.
///
/// A word that is read in the clock in which it is written is unknown on the board. Here it is the old one, or in a
/// memory that a test made [`poisonous`](Self::poisonous), a wrong one.
#[derive(LogicBlock)]
pub struct CacheRam<const W: usize, const LANES: usize> {
    pub clock: Signal<In, Clock>,
    /// In words; bits beyond the memory's size are ignored.
    pub read_index: Signal<In, Bits<12>>,
    pub read_data: Signal<Out, Bits<W>>,
    /// One bit per lane.
    pub write: Signal<In, Bits<LANES>>,
    pub write_index: Signal<In, Bits<12>>,
    pub write_data: Signal<In, Bits<W>>,
    _words: Vec<u64>,
    _poisonous: bool,
}

impl<const W: usize, const LANES: usize> CacheRam<W, LANES> {
    /// A memory of `words`, a power of two from 2 to 4096. It begins with zeros.
    ///
    /// # Panics
    /// If the number is no such power.
    pub fn new(words: usize) -> Self {
        assert!(
            words.is_power_of_two() && (2..=4096).contains(&words),
            "a cache memory of {words} words: expected a power of two from 2 to 4096"
        );
        assert!(W <= 64 && W.is_multiple_of(LANES));
        Self {
            clock: Default::default(),
            read_index: Default::default(),
            read_data: Default::default(),
            write: Default::default(),
            write_index: Default::default(),
            write_data: Default::default(),
            _words: vec![0; words],
            _poisonous: false,
        }
    }

    /// Makes a word that is read and written in one clock read as its inverse.
    pub fn poisonous(&mut self) {
        self._poisonous = true;
    }
}

impl<const W: usize, const LANES: usize> Logic for CacheRam<W, LANES> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let mask = self._words.len() - 1;
            let read = self.read_index.val().index() & mask;
            let written = self.write_index.val().index() & mask;
            let lanes = self.write.val().index();
            let mut word = self._words[read];
            if self._poisonous && read == written && lanes != 0 {
                word = !word;
            }
            self.read_data.next = (word & (u64::MAX >> (64 - W))).into();
            let lane_bits = W / LANES;
            let enabled = (0..LANES)
                .filter(|lane| lanes >> lane & 1 == 1)
                .fold(0, |bits, lane| {
                    bits | (u64::MAX >> (64 - lane_bits)) << (lane * lane_bits)
                });
            let data = bits64(self.write_data.val());
            self._words[written] = self._words[written] & !enabled | data & enabled;
        }
    }
    fn connect(&mut self) {
        self.read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        let words = self._words.len();
        let (high, last) = (words.trailing_zeros() - 1, words - 1);
        let mut text = format!(
            "\
(* no_rw_check *) reg [{}:0] words [0:{last}];
integer index;
initial begin
  read_data = {W}'h0;
  for (index = 0; index < {words}; index = index + 1) words[index] = {W}'h0;
end
always @(posedge clock) read_data <= words[read_index[{high}:0]];
always @(posedge clock) begin
",
            W - 1
        );
        for lane in 0..LANES {
            let bits = format!("{}:{}", (lane + 1) * (W / LANES) - 1, lane * (W / LANES));
            let bits = if LANES == 1 {
                String::new()
            } else {
                format!("[{bits}]")
            };
            let enable = if LANES == 1 {
                "write".to_string()
            } else {
                format!("write[{lane}]")
            };
            text += &format!(
                "  if ({enable}) words[write_index[{high}:0]]{bits} <= write_data{bits};\n"
            );
        }
        text += "end\n";
        Verilog::Custom(text)
    }
}

/// Tags of lines, and whether the one that is looked up is there: that arrives in the next clock.
///
/// It does so from a register if the tags are compared in the clock of the look-up. They lie in distributed RAM then, which is
/// read at once, and in block RAM otherwise. A tag that is looked up in the clock in which it is written counts as in
/// [`CacheRam`].
#[derive(LogicBlock)]
pub struct TagRam<const W: usize> {
    pub clock: Signal<In, Clock>,
    /// Number of the line; bits beyond the number of lines are ignored.
    pub lookup_line: Signal<In, Bits<10>>,
    pub lookup_tag: Signal<In, Bits<W>>,
    pub hit: Signal<Out, Bit>,
    pub write: Signal<In, Bit>,
    pub write_line: Signal<In, Bits<10>>,
    pub write_tag: Signal<In, Bits<W>>,
    _tags: Vec<Bits<W>>,
    _at_once: bool,
    _poisonous: bool,
}

impl<const W: usize> TagRam<W> {
    /// Tags of `lines`, a power of two from 2 to 1024; compared in the clock of the look-up if `at_once`. They begin as zeros.
    ///
    /// # Panics
    /// If the number is no such power.
    pub fn new(lines: usize, at_once: bool) -> Self {
        assert!(
            lines.is_power_of_two() && (2..=1024).contains(&lines),
            "tags of {lines} lines: expected a power of two from 2 to 1024"
        );
        Self {
            clock: Default::default(),
            lookup_line: Default::default(),
            lookup_tag: Default::default(),
            hit: Default::default(),
            write: Default::default(),
            write_line: Default::default(),
            write_tag: Default::default(),
            _tags: vec![Bits::default(); lines],
            _at_once: at_once,
            _poisonous: false,
        }
    }

    /// Makes a tag that is looked up and written in one clock give the wrong answer.
    pub fn poisonous(&mut self) {
        self._poisonous = true;
    }
}

impl<const W: usize> Logic for TagRam<W> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let mask = self._tags.len() - 1;
            let looked_up = self.lookup_line.val().index() & mask;
            let written = self.write_line.val().index() & mask;
            let poison = self._poisonous && looked_up == written && self.write.val();
            self.hit.next = (self._tags[looked_up] == self.lookup_tag.val()) != poison;
            if self.write.val() {
                self._tags[written] = self.write_tag.val();
            }
        }
    }
    fn connect(&mut self) {
        self.hit.connect();
    }
    fn hdl(&self) -> Verilog {
        let lines = self._tags.len();
        let (high, last, top) = (lines.trailing_zeros() - 1, lines - 1, W - 1);
        let compare = if self._at_once {
            format!(
                "initial hit = 1'h0;\nalways @(posedge clock) hit <= words[lookup_line[{high}:0]] == lookup_tag;"
            )
        } else {
            format!(
                "\
reg [{top}:0] read_tag;
reg [{top}:0] wanted_tag;
initial begin
  read_tag = {W}'h0;
  wanted_tag = {W}'h1;
end
always @(posedge clock) begin
  read_tag <= words[lookup_line[{high}:0]];
  wanted_tag <= lookup_tag;
end
always @(*) hit = read_tag == wanted_tag;"
            )
        };
        let style = if self._at_once {
            ""
        } else {
            "(* no_rw_check *) "
        };
        Verilog::Custom(format!(
            "\
{style}reg [{top}:0] words [0:{last}];
integer index;
initial for (index = 0; index < {lines}; index = index + 1) words[index] = {W}'h0;
{compare}
always @(posedge clock) if (write) words[write_line[{high}:0]] <= write_tag;
"
        ))
    }
}

/// Sixteen words of W bits that are read in the same clock. Synthesis makes distributed RAM of it.
#[derive(LogicBlock, Default)]
pub struct QueueRam<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub read_index: Signal<In, Bits<4>>,
    pub read_data: Signal<Out, Bits<W>>,
    pub write: Signal<In, Bit>,
    pub write_index: Signal<In, Bits<4>>,
    pub write_data: Signal<In, Bits<W>>,
    _words: Vec<Bits<W>>,
}

impl<const W: usize> Logic for QueueRam<W> {
    fn update(&mut self) {
        if self._words.is_empty() {
            self._words = vec![Bits::default(); 16];
        }
        if self.clock.pos_edge() && self.write.val() {
            self._words[self.write_index.val().index()] = self.write_data.val();
        }
        self.read_data.next = self._words[self.read_index.val().index()];
    }
    fn connect(&mut self) {
        self.read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
reg [{}:0] words [0:15];
integer index;
initial for (index = 0; index < 16; index = index + 1) words[index] = {W}'h0;
always @(posedge clock) if (write) words[write_index] <= write_data;
always @(*) read_data = words[read_index];
",
            W - 1
        ))
    }
}
