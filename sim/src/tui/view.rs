//! The screen: five panes, a line on top that says where the run is, a line at the bottom for messages.
//!
//! ```text
//! ring 3  winlogon!WinMain+0x1c        cycle 88250  instruction 1450
//! ── code ───────────────────────────── registers ───────────────
//!  …
//! ── pipeline ────────────── memory: data or translation not there
//!  …
//! ── call path ─────────────────────── console ──────────────────
//!  …
//! message
//! ```

use super::app::{App, Mode};
use super::keys::KEYS;
use super::path::{Entry, Frame};
use crate::debug::Registers;
use crate::machine::Pipeline;
use crate::trace::microcode_name;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};
use spec::flags;
use spec::pipeline::STALL_REASONS;
use spec::registers as number;

/// The smallest screen with all panes.
pub const COLUMNS: u16 = 80;
/// Its lines.
pub const ROWS: u16 = 24;

/// Columns of one clock in the pipeline pane.
const CELL: usize = 11;
/// Columns of the names of the stages.
const NAMES: usize = 8;
/// The stages, the oldest instruction's last; stall reasons begin with these names.
const STAGES: [&str; 6] = ["fetch", "decode", "issue", "address", "memory", "execute"];

/// Colours by which instructions are told apart in the pipeline.
const COLOURS: [Color; 5] = [
    Color::Cyan,
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::LightRed,
];

const CHANGED: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().fg(Color::DarkGray);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

fn ring_colour(ring: u8) -> Color {
    match ring {
        0 => Color::Red,
        _ => Color::Green,
    }
}

/// Draws everything.
pub fn draw(app: &mut App, frame: &mut ratatui::Frame) {
    let area = frame.area();
    if area.width < COLUMNS || area.height < ROWS {
        let text = format!(
            "{}x{} is too small:\n{COLUMNS}x{ROWS} is needed.\nq quits.",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let [top, upper, middle, lower, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(9),
        Constraint::Length(8),
        Constraint::Length(5 + (area.height - ROWS) / 3),
        Constraint::Length(1),
    ])
    .areas(area);
    let [code, registers] =
        Layout::horizontal([Constraint::Min(50), Constraint::Length(28)]).areas(upper);
    let [path, console] = Layout::horizontal([Constraint::Fill(1); 2]).areas(lower);

    frame.render_widget(Paragraph::new(status(app, top.width)), top);

    let inner = pane(frame, code, "code", false, "");
    let lines = code_lines(app, inner);
    frame.render_widget(Paragraph::new(lines), inner);

    let inner = pane(frame, registers, "registers", true, "");
    let lines = register_lines(&app.registers, &app.registers_before);
    frame.render_widget(Paragraph::new(lines), inner);

    let count = (usize::from(middle.width) - NAMES) / CELL;
    let clocks = app.clocks(count);
    let stalls = clocks.last().map_or(0, |(_, pipeline)| pipeline.stall);
    let reasons: Vec<&str> = stall_reasons(stalls).collect();
    // The routine of the microcode that issue takes its micro-ops from.
    let routine = clocks
        .last()
        .filter(|(_, pipeline)| pipeline.issue.is_some())
        .and_then(|(_, pipeline)| microcode_name(pipeline.micro_address));
    let title = match routine {
        Some(routine) => format!("pipeline: microcode {routine}"),
        None => "pipeline".to_string(),
    };
    let inner = pane(frame, middle, &title, false, &reasons.join(" | "));
    let lines = pipeline_lines(app, &clocks);
    frame.render_widget(Paragraph::new(lines), inner);

    let inner = pane(frame, path, "call path", false, "");
    let lines = path_lines(app, inner.height.into());
    frame.render_widget(Paragraph::new(lines), inner);

    let title = match app.mode {
        Mode::Console => "console: keys go to the guest",
        _ => "console",
    };
    let inner = pane(frame, console, title, true, "");
    let lines = console_lines(app.console(), inner);
    frame.render_widget(Paragraph::new(lines), inner);

    frame.render_widget(Paragraph::new(message(app)), bottom);
    if app.mode == Mode::Help {
        help(frame, area);
    }
}

/// A pane's title in a rule, and a rule at its left if it has a neighbour there; what is left for its contents.
fn pane(frame: &mut ratatui::Frame, area: Rect, title: &str, left: bool, right: &str) -> Rect {
    let borders = if left {
        Borders::TOP | Borders::LEFT
    } else {
        Borders::TOP
    };
    let mut block = Block::new()
        .borders(borders)
        .border_style(DIM)
        .title(Line::styled(format!(" {title} "), BOLD));
    if !right.is_empty() {
        let room = usize::from(area.width).saturating_sub(title.len() + 6);
        let right: String = right.chars().take(room).collect();
        block = block.title(Line::styled(format!(" {right} "), CHANGED).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn status(app: &App, width: u16) -> Line<'static> {
    let registers = &app.registers;
    let (place, position) = (app.symbols().at(registers.linear_eip()), app.position());
    let ring = registers.cpl();
    let right = format!(
        "cycle {}  instruction {} ",
        position.cycle, position.instructions
    );
    let style = Style::new().fg(Color::White).bg(ring_colour(ring));
    let left = format!(" ring {ring}  {place}");
    let room = usize::from(width).saturating_sub(left.len());
    Line::from(vec![
        Span::styled(left, style.add_modifier(Modifier::BOLD)),
        Span::styled(format!("{right:>room$}"), style),
    ])
}

fn code_lines(app: &mut App, area: Rect) -> Vec<Line<'static>> {
    let height = usize::from(area.height);
    let eip = app.registers.linear_eip();
    // Bytes only where they do not cost the operands.
    let bytes_width = if area.width >= 72 { 21 } else { 0 };
    let mut rows: Vec<(u32, Line)> = Vec::new();
    for line in app.lines(height + height / 3) {
        if let Some(label) = line.label {
            rows.push((line.linear, Line::styled(format!("{label}:"), BOLD)));
        }
        let breakpoint = if app.is_breakpoint(line.linear) {
            '*'
        } else {
            ' '
        };
        let current = if line.linear == eip { '>' } else { ' ' };
        let bytes: String = line
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let bytes = match bytes_width {
            0 => String::new(),
            width => format!(
                "{:width$} ",
                bytes.chars().take(width - 1).collect::<String>()
            ),
        };
        let mut style = Style::new();
        if breakpoint == '*' {
            style = style.fg(Color::Red);
        }
        if line.linear == eip {
            style = style.fg(Color::Black).bg(Color::Yellow);
        }
        if line.linear == app.cursor {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let text = format!(
            "{breakpoint}{current}{:08x} {bytes}{}",
            line.linear, line.text
        );
        let width = usize::from(area.width);
        let text: String = text.chars().take(width).collect();
        rows.push((line.linear, Line::styled(format!("{text:width$}"), style)));
    }
    // The cursor stays in sight, a third from the top.
    let cursor = rows
        .iter()
        .rposition(|(linear, _)| *linear == app.cursor)
        .unwrap_or(0);
    let skipped = cursor.saturating_sub(height / 3);
    rows.into_iter()
        .skip(skipped)
        .map(|(_, line)| line)
        .collect()
}

fn register_lines(now: &Registers, before: &Registers) -> Vec<Line<'static>> {
    let value = |register: u8, digits: usize| {
        let name = number::name(register).unwrap_or_default();
        let style = match now.get(register) == before.get(register) {
            true => Style::new(),
            false => CHANGED,
        };
        Span::styled(format!("{name}={:0digits$x}", now.get(register)), style)
    };
    let pair =
        |left: u8, right: u8| Line::from(vec![value(left, 8), Span::raw(" "), value(right, 8)]);
    let selectors = |segments: [u8; 3]| {
        let mut spans = Vec::new();
        for segment in segments {
            spans.push(value(number::SELECTOR + segment, 4));
            spans.push(Span::raw(" "));
        }
        Line::from(spans)
    };
    let flag = |bit: u32, set: &'static str, clear: &'static str| {
        let is = |registers: &Registers| registers.eflags() & bit != 0;
        let style = if is(now) == is(before) {
            Style::new()
        } else {
            CHANGED
        };
        Span::styled(format!("{} ", if is(now) { set } else { clear }), style)
    };
    let eip = Line::from(vec![
        value(number::EIP, 8),
        Span::raw(" "),
        Span::styled(
            format!("efl={:08x}", now.eflags()),
            if now.eflags() == before.eflags() {
                Style::new()
            } else {
                CHANGED
            },
        ),
    ]);
    vec![
        pair(0, 3),
        pair(1, 2),
        pair(6, 7),
        pair(4, 5),
        eip,
        // As cdb shows them.
        Line::from(vec![
            flag(flags::OF, "ov", "nv"),
            flag(flags::DF, "dn", "up"),
            flag(flags::IF, "ei", "di"),
            flag(flags::SF, "ng", "pl"),
            flag(flags::ZF, "zr", "nz"),
            flag(flags::AF, "ac", "na"),
            flag(flags::PF, "pe", "po"),
            flag(flags::CF, "cy", "nc"),
        ]),
        selectors([number::CS, number::SS, number::FS]),
        pair(number::CR0, number::CR3),
        // Only on larger screens.
        selectors([number::DS, number::ES, number::GS]),
        pair(number::CR2, number::CR4),
        Line::from(value(number::SYSENTER_EIP, 8)),
        Line::from(value(number::SYSENTER_ESP, 8)),
        Line::from(value(number::SYSENTER_CS, 8)),
        Line::from(value(number::BASE + number::GDTR, 8)),
        Line::from(value(number::BASE + number::IDTR, 8)),
        Line::from(value(number::BASE + number::FS, 8)),
    ]
}

fn stall_reasons(stalls: u32) -> impl Iterator<Item = &'static str> {
    STALL_REASONS
        .iter()
        .enumerate()
        .filter(move |(bit, _)| stalls >> bit & 1 != 0)
        .map(|(_, reason)| *reason)
}

fn pipeline_lines(app: &mut App, clocks: &[(u64, Pipeline)]) -> Vec<Line<'static>> {
    let name = |name: &str| Span::styled(format!("{name:NAMES$}"), DIM);
    let mut lines = vec![vec![name("cycle")]];
    for (cycle, _) in clocks {
        lines[0].push(Span::styled(format!("{cycle:<CELL$}"), DIM));
    }
    for (stage_number, stage) in STAGES.into_iter().enumerate() {
        let mut spans = vec![name(stage)];
        for (_, pipeline) in clocks {
            let waits = stall_reasons(pipeline.stall).any(|reason| reason.starts_with(stage));
            let eip = match stage_number {
                0 => None,
                1 => pipeline.decode,
                2 => pipeline.issue,
                3 => pipeline.address,
                4 => pipeline.memory,
                _ => pipeline.execute,
            };
            let mark = if waits { "!" } else { " " };
            let (text, style) = match eip {
                _ if stage_number == 0 => (format!("{} bytes", pipeline.fetch_bytes), Style::new()),
                Some(eip) => {
                    let mnemonic = app.stage_text(eip);
                    let colour = COLOURS[(eip as usize ^ eip as usize >> 3) % COLOURS.len()];
                    let text = format!("{:03x} {mnemonic:.5}{mark}", eip & 0xFFF);
                    (text, Style::new().fg(colour))
                }
                None if waits => ("!".to_string(), CHANGED),
                None => ("-".to_string(), DIM),
            };
            let style = if waits { CHANGED } else { style };
            spans.push(Span::styled(format!("{text:<CELL$}"), style));
        }
        lines.push(spans);
    }
    lines.into_iter().map(Line::from).collect()
}

fn path_lines(app: &App, height: usize) -> Vec<Line<'static>> {
    let frames = app.frames();
    let shown = if frames.len() > height {
        height.saturating_sub(1)
    } else {
        height
    };
    let skipped = frames.len().saturating_sub(shown);
    let mut lines = Vec::new();
    if skipped > 0 {
        lines.push(Line::styled(format!("    {skipped} more"), DIM));
    }
    for (at, frame) in frames.iter().enumerate().skip(skipped) {
        lines.push(path_line(app, frame, at + 1 == frames.len()));
    }
    lines
}

fn path_line(app: &App, frame: &Frame, is_last: bool) -> Line<'static> {
    let place = app.symbols().at(frame.at);
    let layer = place
        .module
        .map_or(" ".to_string(), |module| module.layer.to_string());
    let entry = match frame.entry {
        Entry::Reset | Entry::Call => String::new(),
        Entry::Gate => " gate".to_string(),
        Entry::Exception(vector) => format!(" exception {vector:02x}"),
        Entry::Interrupt(vector) => format!(" interrupt {vector:02x}"),
    };
    let mut style = Style::new().fg(ring_colour(frame.ring));
    if is_last {
        style = style.add_modifier(Modifier::BOLD);
    }
    let mark = if is_last { '>' } else { ' ' };
    Line::from(vec![
        Span::styled(format!("{mark}{layer} r{} {place}", frame.ring), style),
        Span::styled(entry, DIM),
    ])
}

fn console_lines(sent: &[u8], area: Rect) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(area.width).max(1), usize::from(area.height));
    // Of a long output only the end is looked at.
    let sent = &sent[sent.len().saturating_sub(width * height * 4)..];
    let text = String::from_utf8_lossy(sent);
    let mut rows: Vec<String> = vec![String::new()];
    for character in text.chars() {
        let row = rows.last_mut().expect("never empty");
        match character {
            '\n' => rows.push(String::new()),
            '\r' => {}
            _ if row.chars().count() == width => rows.push(character.to_string()),
            _ if character.is_control() => row.push('.'),
            _ => row.push(character),
        }
    }
    if rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    let skipped = rows.len().saturating_sub(height);
    rows.into_iter().skip(skipped).map(Line::from).collect()
}

fn message(app: &App) -> Line<'static> {
    match &app.mode {
        Mode::Address(text) => Line::from(format!("go to (symbol, register, address): {text}_")),
        Mode::Console => Line::styled("Esc ends; then g or c runs the guest", DIM),
        _ if app.is_busy() => Line::styled("runs; Ctrl-C or Esc stops", CHANGED),
        _ if app.message.is_empty() => Line::styled(
            "t p u g r c h step and run, capitals back  b breakpoint  / go to  ? help  q quit",
            DIM,
        ),
        _ => Line::from(app.message.clone()),
    }
}

fn help(frame: &mut ratatui::Frame, area: Rect) {
    let lines: Vec<Line> = KEYS
        .iter()
        .filter(|key| !key.help.is_empty())
        .map(|key| Line::from(key.help))
        .chain([
            Line::from(""),
            Line::from("> next instruction  * breakpoint  ! the stage waits"),
        ])
        .collect();
    let width = 62.min(area.width);
    let height = (lines.len() as u16 + 2).min(area.height);
    let popup = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, popup);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys: any closes ")),
        popup,
    );
}
