//! The microassembler: steps in the manual's order, with labels.
use crate::prelude::*;
use std::collections::HashMap;

/// One micro-instruction being written.
#[derive(Clone, Debug)]
pub struct Step {
    pub word: MicroInstruction,
    /// Where `target` leads.
    pub target: Option<String>,
}

/// A micro-instruction that computes `op`; 32 bits wide, no memory, nothing written.
pub fn step(op: ExecuteOp) -> Step {
    let word = MicroInstruction {
        op,
        width: WidthSelect::Dword,
        memory_width: WidthSelect::Dword,
        address: AddressMode::Based,
        segment: SegmentSelect::Flat,
        ..Default::default()
    };
    Step { word, target: None }
}

/// `to` = a register, an immediate, what is loaded: see the operand methods.
pub fn copy(to: RegisterSelect) -> Step {
    step(ExecuteOp::PassB).to(to)
}

/// Computes nothing: for checks, branches and controls.
pub fn nothing() -> Step {
    step(ExecuteOp::PassA)
}

impl Step {
    pub fn a(mut self, register: RegisterSelect) -> Self {
        self.word.a = register;
        self
    }
    pub fn a_load(mut self) -> Self {
        self.word.a_source = ASource::Load;
        self
    }
    pub fn b(mut self, register: RegisterSelect) -> Self {
        self.word.b_source = BSource::Register;
        self.word.b = register;
        self
    }
    pub fn b_from(mut self, source: BSource) -> Self {
        self.word.b_source = source;
        self
    }
    pub fn b_load(self) -> Self {
        self.b_from(BSource::Load)
    }
    pub fn immediate(self) -> Self {
        self.b_from(BSource::Immediate)
    }
    /// Operand b is this number (-2048..2047).
    pub fn constant(mut self, value: i32) -> Self {
        self.word.constant = twelve_bits(value);
        self.b_from(BSource::Constant)
    }
    /// Operand b is this system register.
    pub fn system(mut self, number: u64) -> Self {
        self.word.system = number.into();
        self.b_from(BSource::System)
    }
    pub fn c_edx(mut self) -> Self {
        self.word.c_source = CSource::Edx;
        self
    }
    pub fn c_immediate(mut self) -> Self {
        self.word.c_source = CSource::Immediate;
        self
    }
    pub fn to(mut self, register: RegisterSelect) -> Self {
        self.word.destination = register;
        self
    }
    /// Width of operation and access.
    pub fn width(mut self, width: WidthSelect) -> Self {
        self.word.width = width;
        self.word.memory_width = width;
        self
    }
    /// Width of the access alone.
    pub fn access_width(mut self, width: WidthSelect) -> Self {
        self.word.memory_width = width;
        self
    }
    pub fn flags(mut self) -> Self {
        self.word.write_flags = true;
        self
    }
    pub fn keep_carry(mut self) -> Self {
        self.word.keep_carry = true;
        self
    }
    pub fn memory(mut self, memory: MemoryOp) -> Self {
        self.word.memory = memory;
        self
    }
    /// The address of the instruction's ModRM operand, `displacement` bytes on.
    pub fn operand(mut self, displacement: i32) -> Self {
        self.word.address = AddressMode::ModRm;
        self.word.segment = SegmentSelect::Operand;
        self.word.constant = twelve_bits(displacement);
        self
    }
    /// `segment`:[`base` + displacement].
    pub fn at(mut self, segment: SegmentSelect, base: RegisterSelect, displacement: i32) -> Self {
        self.word.address = AddressMode::Based;
        self.word.segment = segment;
        self.word.base = base;
        self.word.constant = twelve_bits(displacement);
        self
    }
    /// The descriptor of the selector in `register`, `displacement` bytes on, in GDT or LDT.
    pub fn descriptor(mut self, register: RegisterSelect, displacement: i32) -> Self {
        self.word.address = AddressMode::Descriptor;
        self.word.segment = SegmentSelect::Table;
        self.word.base = register;
        self.word.constant = twelve_bits(displacement);
        self.privileged()
    }
    /// The IDT entry of the event, `displacement` bytes on.
    pub fn gate(mut self, displacement: i32) -> Self {
        self.word.address = AddressMode::Vector;
        self.word.segment = SegmentSelect::Idt;
        self.word.constant = twelve_bits(displacement);
        self.privileged()
    }
    pub fn address(mut self, mode: AddressMode, segment: SegmentSelect) -> Self {
        self.word.address = mode;
        self.word.segment = segment;
        self
    }
    pub fn stack(mut self, mode: AddressMode) -> Self {
        self.word.address = mode;
        self.word.segment = SegmentSelect::Ss;
        self
    }
    /// Pops b.
    pub fn pop(self) -> Self {
        self.memory(MemoryOp::Load).stack(AddressMode::Pop).b_load()
    }
    /// Pushes the result.
    pub fn push(self) -> Self {
        self.memory(MemoryOp::Store).stack(AddressMode::Push)
    }
    /// Page checks as at level 0.
    pub fn privileged(mut self) -> Self {
        self.word.system_access = true;
        self
    }
    pub fn control(mut self, control: Control) -> Self {
        self.word.control = control;
        self
    }
    /// A control with the segment or system register it concerns.
    pub fn control_of(mut self, control: Control, number: u64) -> Self {
        self.word.system = number.into();
        self.control(control)
    }
    /// `system` counts from ModRM.reg.
    pub fn from_reg(mut self) -> Self {
        self.word.system_from_reg = true;
        self
    }
    pub fn check(mut self, check: Check) -> Self {
        self.word.check = check;
        self
    }
    /// Goes to `label` if execute finds that `condition` holds; rarely, for it empties the pipeline.
    pub fn branch(mut self, condition: Condition, label: &str) -> Self {
        self.word.control = Control::Branch;
        self.word.condition = condition;
        self.target = Some(label.into());
        self
    }
    /// Goes to `label` if decode knows that `condition` holds; costs nothing.
    pub fn unless(mut self, condition: StaticCondition, label: &str) -> Self {
        self.word.static_condition = condition;
        self.target = Some(label.into());
        self
    }
    /// Goes to `label`.
    pub fn goto(self, label: &str) -> Self {
        self.unless(StaticCondition::Always, label)
    }
    /// Goes to `label` as often as execute does not find that `condition` holds, which costs nothing; then on.
    pub fn until(self, condition: Condition, label: &str) -> Self {
        self.branch(condition, label).goto(label)
    }
    pub fn last(mut self) -> Self {
        self.word.last = true;
        self
    }
    pub fn boundary(mut self) -> Self {
        self.word.boundary = true;
        self
    }
    pub fn serialize(mut self) -> Self {
        self.word.serialize = true;
        self
    }
    pub fn shadow(mut self) -> Self {
        self.word.shadow = true;
        self
    }
}

fn twelve_bits(value: i32) -> Bits<12> {
    assert!(
        (-2048..2048).contains(&value),
        "{value} does not fit a micro-instruction's constant"
    );
    ((value & 0xFFF) as u64).into()
}

/// Collects routines and resolves their labels.
#[derive(Default)]
pub struct Assembler {
    steps: Vec<Step>,
    labels: HashMap<String, usize>,
}

impl Assembler {
    /// The next step is called `name`.
    pub fn label(&mut self, name: &str) -> &mut Self {
        let old = self.labels.insert(name.into(), self.steps.len());
        assert!(old.is_none(), "microcode label {name} is there twice");
        self
    }

    /// A routine: a label and its steps.
    pub fn routine(&mut self, name: &str, steps: impl IntoIterator<Item = Step>) -> &mut Self {
        self.label(name);
        self.steps.extend(steps);
        self
    }

    /// All words, with targets in place.
    pub fn finish(self) -> Image {
        let labels = self.labels;
        let words = self
            .steps
            .iter()
            .map(|step| resolve(step, &labels))
            .collect();
        Image { words, labels }
    }
}

/// The contents of the microcode ROM.
pub struct Image {
    pub words: Vec<MicroInstruction>,
    pub labels: HashMap<String, usize>,
}

impl Image {
    /// The word of a step outside the routines (an opcode row).
    pub fn word(&self, step: &Step) -> MicroInstruction {
        resolve(step, &self.labels)
    }

    /// Address of a routine.
    pub fn entry(&self, label: &str) -> u64 {
        *self
            .labels
            .get(label)
            .unwrap_or_else(|| panic!("no microcode routine {label}")) as u64
    }

    /// The routine that a micro-address lies in, and how many steps behind its label.
    pub fn locate(&self, address: usize) -> Option<(&str, usize)> {
        let (name, at) = self
            .labels
            .iter()
            .filter(|(_, at)| **at <= address)
            .max_by_key(|(name, at)| (**at, *name))?;
        Some((name, address - at))
    }
}

fn resolve(step: &Step, labels: &HashMap<String, usize>) -> MicroInstruction {
    let mut word = step.word;
    if let Some(target) = &step.target {
        let at = labels
            .get(target)
            .unwrap_or_else(|| panic!("no microcode label {target}"));
        word.target = (*at as u64).into();
    }
    // What these take does not pass through the ALU, which would be late.
    let is_plain =
        |sources: &[BSource]| word.op == ExecuteOp::PassB && sources.contains(&word.b_source);
    match word.control {
        Control::WriteSystem => assert!(is_plain(&[BSource::Register, BSource::Constant])),
        Control::SoftwareInterrupt | Control::InterruptOne => {
            assert!(is_plain(&[BSource::Immediate, BSource::Constant]));
        }
        _ => {}
    }
    let copies = word.op == ExecuteOp::PassB && !word.write_flags;
    assert!(
        copies || word.b_source != BSource::System,
        "a system register can only be copied: {word:?}"
    );
    word
}
