//! `sysgate gdb` as debuggers meet it: first a small client of our own that speaks the remote protocol, then gdb itself.
#![cfg(feature = "model")]

use sim::gdb::arch::{Number, REGISTERS};
use sim::image::Image;
use sim::symbols::Symbols;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Longer than anything here takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn address(name: &str) -> u64 {
    let image = Image::build(firmware::Gate::Sysenter).unwrap();
    Symbols::new(image.symbols).address_of(name).unwrap().into()
}

/// A file of its own for each test, in a folder with a space.
fn file(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sysgate gdb {}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A ROM with `code` at the reset vector (at most 16 bytes, real mode).
fn rom(name: &str, code: &[u8]) -> String {
    let mut rom = vec![0x90; 0x1_0000];
    rom[0xFFF0..0xFFF0 + code.len()].copy_from_slice(code);
    let path = file(name);
    std::fs::write(&path, rom).unwrap();
    path.to_str().unwrap().to_string()
}

/// A running `sysgate gdb`, which ends with this value.
struct Server {
    child: Child,
    port: u16,
    lines: Receiver<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sysgate"))
            .args(["gdb", "--port", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            port: 0,
            lines,
        };
        let line = server.line("waiting for a debugger on 127.0.0.1:");
        let digits = line.rsplit_once("127.0.0.1:").unwrap().1;
        let digits = digits.split_once(';').unwrap().0;
        server.port = digits.parse().unwrap();
        server
    }

    /// The next line on stderr that contains `text`.
    fn line(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("the server never said `{text}`"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn connect(&self) -> Client {
        let mut client = Client {
            stream: self.stream(),
            acknowledges: true,
            output: String::new(),
        };
        assert_eq!(client.ask("QStartNoAckMode"), "OK");
        client.acknowledges = false;
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A debugger.
struct Client {
    stream: TcpStream,
    acknowledges: bool,
    /// What `O` packets said since the last look.
    output: String,
}

impl Client {
    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    fn send(&mut self, body: &str) {
        let sum = body.bytes().fold(0u8, u8::wrapping_add);
        let packet = format!("${body}#{sum:02x}");
        self.stream.write_all(packet.as_bytes()).unwrap();
        if self.acknowledges {
            assert_eq!(self.byte(), b'+', "{body}");
        }
    }

    /// The next packet's bytes, without its runs and escapes.
    fn packet(&mut self) -> Vec<u8> {
        assert_eq!(self.byte(), b'$');
        let mut bytes: Vec<u8> = Vec::new();
        let mut sum = 0u8;
        loop {
            let byte = self.byte();
            if byte == b'#' {
                break;
            }
            sum = sum.wrapping_add(byte);
            if matches!(byte, b'*' | b'}') {
                let next = self.byte();
                sum = sum.wrapping_add(next);
                if byte == b'}' {
                    bytes.push(next ^ 0x20);
                } else {
                    let again = *bytes.last().unwrap();
                    bytes.extend(std::iter::repeat_n(again, usize::from(next - 29)));
                }
            } else {
                bytes.push(byte);
            }
        }
        let digits = [self.byte(), self.byte()];
        let digits = std::str::from_utf8(&digits).unwrap();
        assert_eq!(u8::from_str_radix(digits, 16).unwrap(), sum);
        if self.acknowledges {
            self.stream.write_all(b"+").unwrap();
        }
        bytes
    }

    /// The answer to what was sent; output that comes first is kept.
    fn answer(&mut self) -> String {
        loop {
            let text: String = self.packet().into_iter().map(char::from).collect();
            match text.strip_prefix('O') {
                Some(digits) if text != "OK" => {
                    self.output += &String::from_utf8(bytes(digits)).unwrap();
                }
                _ => return text,
            }
        }
    }

    fn ask(&mut self, body: &str) -> String {
        self.send(body);
        self.answer()
    }

    /// Everything behind `qXfer:OBJECT:read:ANNEX`.
    fn transfer(&mut self, object: &str) -> String {
        let mut text = String::new();
        loop {
            let part = self.ask(&format!("qXfer:{object}:{:x},400", text.len()));
            match part.split_at(1) {
                ("m", part) => text += part,
                ("l", part) => return text + part,
                _ => panic!("{object}: {part}"),
            }
        }
    }

    fn register(&mut self, name: &str) -> u64 {
        let Number(number) = Number::of(name);
        let digits = self.ask(&format!("p{number:x}"));
        number_of(&digits)
    }

    fn set_register(&mut self, name: &str, value: u32) -> String {
        let Number(number) = Number::of(name);
        let digits = REGISTERS[number].bytes() * 2;
        let value = value.swap_bytes();
        self.ask(&format!("P{number:x}={:0<digits$}", format!("{value:08x}")))
    }

    fn word(&mut self, linear: u64) -> u64 {
        number_of(&self.ask(&format!("m{linear:x},4")))
    }

    fn go(&mut self) -> String {
        self.ask("vCont;c")
    }

    fn step(&mut self) -> String {
        self.ask("vCont;s:p1.1")
    }

    fn monitor(&mut self, command: &str) -> String {
        let digits: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.output.clear();
        assert_eq!(self.ask(&format!("qRcmd,{digits}")), "OK");
        std::mem::take(&mut self.output)
    }

    /// Runs to `name` and takes the breakpoint away again.
    fn run_to(&mut self, name: &str) -> u64 {
        let linear = address(name);
        assert_eq!(self.ask(&format!("Z0,{linear:x},1")), "OK");
        let stop = self.go();
        assert!(stop.contains("swbreak:;"), "{name}: {stop}");
        assert_eq!(self.ask(&format!("z0,{linear:x},1")), "OK");
        assert_eq!(self.register("eip"), linear, "{name}");
        linear
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

/// A little-endian number in hexadecimal digits.
fn number_of(digits: &str) -> u64 {
    let bytes = bytes(digits).into_iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(byte))
}

/// Kind and address of the watchpoint in a stop reply.
fn watch(stop: &str) -> (&str, u64) {
    let (kind, address) = stop
        .split(';')
        .filter_map(|field| field.split_once(':'))
        .find(|(key, _)| key.ends_with("watch"))
        .unwrap_or_else(|| panic!("{stop}"));
    let kind = kind.strip_prefix("T05").unwrap_or(kind);
    (kind, u64::from_str_radix(address, 16).unwrap())
}

#[test]
fn the_server_says_what_it_can_and_describes_every_register() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let features = client.ask("qSupported:multiprocess+;swbreak+;hwbreak+");
    for feature in [
        "ReverseStep+",
        "ReverseContinue+",
        "swbreak+",
        "hwbreak+",
        "qXfer:features:read+",
        "qXfer:memory-map:read+",
        "qXfer:exec-file:read+",
    ] {
        assert!(
            features.split(';').any(|other| other == feature),
            "{feature}: {features}"
        );
    }
    let xml = client.transfer("features:read:target.xml");
    assert_eq!(xml, *sim::gdb::arch::TARGET_XML);
    let map = client.transfer("memory-map:read:");
    assert!(map.contains("<memory type=\"ram\" start=\"0x0\""), "{map}");
    // In one packet and each by itself they are the same.
    let all = client.ask("g");
    let mut at = 0;
    for (number, register) in REGISTERS.iter().enumerate() {
        let digits = register.bytes() * 2;
        let own = client.ask(&format!("p{number:x}"));
        assert_eq!(own, all[at..at + digits], "{}", register.name);
        at += digits;
    }
    assert_eq!(at, all.len());
    assert_eq!(client.register("cs_base"), 0xFFFF_0000);
    assert_eq!(client.ask("pfff"), "");
}

#[test]
fn a_session_crosses_sysenter_forwards_and_backwards() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let call = client.run_to("ntdll!KiFastSystemCall");
    let entry = address("nt!KiFastCallEntry");
    assert_eq!(client.register("cpl"), 3);
    assert_eq!(client.register("sysenter_eip"), entry);
    assert_eq!(client.step(), "S05");
    let (sysenter, cycle) = (client.register("eip"), client.register("cycle"));
    assert_eq!(sysenter, call + 2);
    assert_eq!(client.step(), "S05");
    assert_eq!(client.register("eip"), entry);
    assert_eq!(client.register("cpl"), 0);
    assert_ne!(client.register("cr3"), 0);
    assert_eq!(
        client.register("sysenter_cs") & 0xFFFC,
        client.register("cs") & 0xFFFC
    );
    assert!(client.register("cycle") > cycle);

    assert_eq!(client.ask("bs"), "S05");
    assert_eq!(client.register("eip"), sysenter);
    assert_eq!(
        (client.register("cpl"), client.register("cycle")),
        (3, cycle)
    );
    assert_eq!(client.ask("bs"), "S05");
    assert_eq!(client.register("eip"), call);
    // Back to the last time it came by, which is the first.
    assert_eq!(client.ask(&format!("Z1,{entry:x},1")), "OK");
    let stop = client.go();
    assert!(stop.contains("hwbreak:;"), "{stop}");
    let stop = client.ask("bc");
    assert!(
        stop.contains("hwbreak:;") || stop.contains("replaylog:begin"),
        "{stop}"
    );
    assert_eq!(client.ask(&format!("z1,{entry:x},1")), "OK");
    let stop = client.ask("bc");
    assert!(stop.contains("replaylog:begin"), "{stop}");
    assert_eq!(client.register("eip"), 0xFFF0);
    let stop = client.ask("bs");
    assert!(stop.contains("replaylog:begin"), "{stop}");
}

#[test]
fn watchpoints_stop_behind_the_access_and_backwards_before_it() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.run_to("ntdll!ZwWriteFile");
    let slot = client.register("esp") - 4;
    let stub = address("SharedUserData!SystemCallStub");
    let (before, start) = (client.word(slot), client.register("cycle"));

    assert_eq!(client.ask(&format!("Z2,{slot:x},4")), "OK");
    let stop = client.go();
    assert_eq!(watch(&stop), ("watch", slot));
    let after = client.word(slot);
    assert_eq!(
        after,
        address("ntdll!ZwWriteFile") + 12,
        "the return address"
    );
    assert_eq!(client.register("eip"), address("ntdll!KiFastSystemCall"));
    let stop = client.ask("bc");
    assert_eq!(watch(&stop), ("watch", slot));
    assert_eq!(client.word(slot), before);
    assert_eq!(client.register("eip"), address("ntdll!ZwWriteFile") + 10);
    // A step over it reports it, too.
    let stop = client.step();
    assert_eq!(watch(&stop), ("watch", slot));
    let stop = client.ask("bs");
    assert_eq!(watch(&stop), ("watch", slot));
    assert_eq!(client.ask(&format!("z2,{slot:x},4")), "OK");

    assert_eq!(client.ask(&format!("Z3,{stub:x},4")), "OK");
    let stop = client.go();
    assert_eq!(watch(&stop), ("rwatch", stub));
    assert_eq!(client.ask(&format!("z3,{stub:x},4")), "OK");
    assert_eq!(client.ask(&format!("Z4,{stub:x},4")), "OK");
    let stop = client.ask("bc");
    assert_eq!(watch(&stop), ("awatch", stub));
    assert!(client.register("cycle") > start);
    assert_eq!(client.ask(&format!("z4,{stub:x},4")), "OK");

    // Right behind an access, a breakpoint further back does not hide it.
    let call = address("ntdll!KiFastSystemCall");
    assert_eq!(client.ask(&format!("Z0,{call:x},1")), "OK");
    client.go();
    assert_eq!(client.step(), "S05");
    assert_eq!(client.ask(&format!("z0,{call:x},1")), "OK");
    let begin = address("ntdll!ZwWriteFile");
    assert_eq!(client.ask(&format!("Z0,{begin:x},1")), "OK");
    assert_eq!(client.ask(&format!("Z3,{stub:x},4")), "OK");
    assert_eq!(watch(&client.ask("bc")), ("rwatch", stub));
    let stop = client.ask("bc");
    assert!(stop.contains("swbreak"), "{stop}");
    assert_eq!(client.register("eip"), begin);
}

#[test]
fn memory_without_a_page_is_an_error_and_what_is_written_is_read() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.run_to("ntdll!ZwWriteFile");
    assert_eq!(client.ask("m90000000,4"), "E0e");
    assert_eq!(client.ask("M90000000,4:00000000"), "E0e");
    assert_eq!(client.ask("X90000000,0:"), "OK");
    // Up to the page's end and no further.
    let end = 0x0100_2000;
    assert_eq!(client.ask(&format!("m{:x},10", end - 4)).len(), 8);
    let stack = client.register("esp");
    assert_eq!(client.ask(&format!("M{stack:x},4:78563412")), "OK");
    assert_eq!(client.word(stack), 0x1234_5678);
    assert_eq!(client.set_register("ebx", 0xCAFE_F00D), "OK");
    assert_eq!(client.register("ebx"), 0xCAFE_F00D);
    assert_eq!(client.set_register("sysenter_esp", 0x1234), "OK");
    assert_eq!(client.register("sysenter_esp"), 0x1234);
    assert_eq!(client.set_register("cycle", 1), "E01");
    assert_eq!(client.set_register("fctrl", 1), "E01");
    // More than an answer holds, and beyond the last address.
    assert_eq!(client.ask("m0,fffff"), "E07");
    assert_eq!(client.ask("mfffffffc,8").len(), 8);
    // What was written belongs to the run: before it is not there, and behind it is again.
    assert_eq!(client.ask("bs"), "S05");
    assert_ne!(client.register("ebx"), 0xCAFE_F00D);
    assert_eq!(client.step(), "S05");
    assert_eq!(client.register("ebx"), 0xCAFE_F00D);
}

#[test]
fn whoever_goes_leaves_the_machine_to_the_next_as_it_is() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let call = client.run_to("ntdll!ZwWriteFile");
    assert_eq!(client.ask(&format!("Z0,{:x},1", call + 5)), "OK");
    let registers = client.ask("g");
    client.stream.write_all(b"$m1000,4").unwrap();
    drop(client);
    server.line("the debugger has gone without a word");

    let mut client = server.connect();
    assert_eq!(client.ask("g"), registers);
    assert_eq!(client.ask("D;1"), "OK");
    server.line("the debugger has detached");

    // A wrong checksum ends a session, too, and no more.
    let mut stream = server.stream();
    stream.write_all(b"$g#00").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    server.line("the connection is closed");

    let mut client = server.connect();
    assert_eq!(client.ask("g"), registers);
    // The breakpoint went with the one who set it.
    assert_eq!(client.ask(&format!("z0,{:x},1", call + 5)), "E16");
}

#[test]
fn a_connection_that_drops_while_the_guest_runs_stops_it() {
    let server = Server::start(&["--bios", &rom("drop.rom", &[0xEB, 0xFE])]);
    let mut client = server.connect();
    client.send("vCont;c");
    drop(client);
    let line = server.line("the debugger has gone without a word");
    assert!(line.contains("the guest is at fffffff0"), "{line}");
    assert_eq!(server.connect().register("eip"), 0xFFF0);
}

#[test]
fn a_second_debugger_is_told_and_the_first_goes_on() {
    let server = Server::start(&[]);
    let mut first = server.connect();
    let mut second = server.stream();
    let packet = b"$qSupported:swbreak+#00";
    second.write_all(packet).unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("E.another debugger is connected"),
        "{answer}"
    );
    server.line("is refused: a debugger is connected already");
    assert_eq!(first.step(), "S05");
    assert_eq!(first.ask("D"), "OK");
    server.line("the debugger has detached");
    assert_eq!(server.connect().step(), "S05");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let server = Server::start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(["gdb", "--port", &server.port.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(10));
    let message = String::from_utf8_lossy(&output.stderr);
    let expected = format!("cannot wait on 127.0.0.1:{}: ", server.port);
    assert!(message.contains(&expected), "{message}");
    assert!(message.contains("--port"), "{message}");
}

#[test]
fn ctrl_c_stops_a_guest_that_runs() {
    let server = Server::start(&["--bios", &rom("loop.rom", &[0xEB, 0xFE])]);
    let mut client = server.connect();
    // A stray one while the guest stands is no stop.
    client.stream.write_all(&[3]).unwrap();
    for _ in 0..3 {
        let cycle = client.register("cycle");
        client.send("vCont;c");
        std::thread::sleep(Duration::from_millis(200));
        client.stream.write_all(&[3]).unwrap();
        assert_eq!(client.answer(), "S02");
        assert!(client.register("cycle") > cycle);
    }
}

#[test]
fn the_65th_breakpoint_is_refused_and_the_others_stay() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let first = address("ntdll!ZwWriteFile");
    for number in 0..64 {
        assert_eq!(client.ask(&format!("Z1,{:x},1", first + number)), "OK");
    }
    assert_eq!(client.ask(&format!("Z1,{:x},1", first + 64)), "E16");
    assert!(client.monitor("stop ring").contains("no more"));
    assert!(client.go().contains("hwbreak"));
    assert_eq!(client.register("eip"), first);
    assert_eq!(client.ask(&format!("z1,{first:x},1")), "OK");
    assert!(
        client
            .monitor("stop ring")
            .contains("stop at a ring change")
    );
}

#[test]
fn ctrl_c_stops_a_monitor_command_that_runs() {
    let server = Server::start(&["--bios", &rom("goto.rom", &[0xEB, 0xFE])]);
    let mut client = server.connect();
    let digits: String = "goto cycle 0xffffffffffff"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    client.send(&format!("qRcmd,{digits}"));
    std::thread::sleep(Duration::from_millis(200));
    client.stream.write_all(&[3]).unwrap();
    assert_eq!(client.answer(), "OK");
    assert!(
        client.output.starts_with("interrupted: fffffff0"),
        "{}",
        client.output
    );
    assert_eq!(client.step(), "S05");
}

#[test]
fn what_the_guest_prints_comes_out_once_however_often_it_runs_by() {
    let mut server = Server::start(&["--once"]);
    let mut client = server.connect();
    for _ in 0..2 {
        assert!(client.go().contains("replaylog:end"));
        assert!(client.ask("bc").contains("replaylog:begin"));
    }
    assert!(client.go().contains("replaylog:end"));
    assert_eq!(client.ask("D"), "OK");
    let mut text = String::new();
    let stdout = server.child.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("hello from ring 3").count(), 1, "{text}");
}

#[test]
fn the_end_of_the_guest_is_said_and_the_way_back_is_open() {
    // mov al,15h; out F4h,al
    let exit = rom("exit.rom", &[0xB0, 0x15, 0xE6, 0xF4]);
    let halt = rom("halt.rom", &[0xFA, 0xF4]);
    let all: usize = REGISTERS.iter().map(|register| register.bytes() * 2).sum();
    // lidt cs:[FFF8h]; int3: without a table for it, nor for the faults behind it.
    let code = [
        0x2E, 0x0F, 0x01, 0x1E, 0xF8, 0xFF, 0xCC, 0x90, 0, 0, 0, 0, 0, 0,
    ];
    let shutdown = rom("shutdown.rom", &code);
    for (rom, stops, expected) in [
        (
            exit,
            "replaylog:end",
            "the guest wrote 0x15 to the exit port",
        ),
        (
            halt,
            "replaylog:end",
            "the guest halted with interrupts off",
        ),
        (shutdown, "S06", "the guest shut down"),
    ] {
        let server = Server::start(&["--bios", &rom]);
        let mut client = server.connect();
        let stop = client.go();
        assert!(stop.contains(stops), "{stop}");
        assert_eq!(client.ask("g").len(), all);
        assert!(client.output.contains(expected), "{}", client.output);
        let stop = client.ask("bc");
        assert!(stop.contains("replaylog:begin"), "{stop}");
        assert_eq!(client.register("eip"), 0xFFF0);
    }
}

#[test]
fn kill_ends_the_server_and_once_ends_it_with_the_first_session() {
    for (arguments, last) in [(&[][..], "vKill;1"), (&["--once"], "D")] {
        let mut server = Server::start(arguments);
        let mut client = server.connect();
        assert_eq!(client.ask(last), "OK");
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{last}");
    }
}

#[test]
fn gdb_gets_the_file_with_the_symbols_over_the_connection() {
    let path = file("symbols.elf");
    let server = Server::start(&["--symbols", path.to_str().unwrap()]);
    let mut client = server.connect();
    let name = client.transfer("exec-file:read:");
    assert_eq!(name, "/sysgate.elf");
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        client.ask("vFile:open:2f6574632f706173737764,0,0"),
        "F-1,02"
    );
    assert_eq!(client.ask(&format!("vFile:open:{digits},1,0")), "F-1,1e");
    assert_eq!(client.ask(&format!("vFile:open:{digits},0,0")), "F03");
    let expected = std::fs::read(&path).unwrap();
    let mut read = Vec::new();
    while read.len() < expected.len() {
        client.send(&format!("vFile:pread:3,1000,{:x}", read.len()));
        let answer = client.packet();
        let data = answer.iter().position(|byte| *byte == b';').unwrap() + 1;
        assert!(answer.len() > data);
        read.extend_from_slice(&answer[data..]);
    }
    assert!(read == expected);
    assert_eq!(client.ask("vFile:close:3"), "F0");
}

#[test]
fn monitor_commands_tell_and_move() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert!(client.monitor("help").contains("reverse-continue"));
    client.run_to("ntdll!KiFastSystemCall");
    let cycle = client.register("cycle");
    assert_eq!(client.monitor("cycle"), format!("{cycle}\n"));
    let place = client.monitor("where");
    assert!(
        place.starts_with("77f064f0 ntdll!KiFastSystemCall, ring 3, cycle "),
        "{place}"
    );
    let entry = address("nt!KiFastCallEntry");
    let expected = format!("0x0176 sysenter_eip       = 00000000`{entry:08x}\n");
    assert_eq!(client.monitor("msr 0x176"), expected);
    assert!(client.monitor("msr").contains(&expected));
    assert!(
        client
            .monitor("regs")
            .contains("cs   001b base=00000000 limit=ffffffff")
    );
    assert!(client.monitor("pipeline").contains("execute "));
    assert!(client.monitor("why").starts_with("waits "));
    let trace = client.monitor("trace 2");
    assert_eq!(trace.lines().count(), 2, "{trace}");
    assert!(trace.lines().last().unwrap().contains("call"), "{trace}");
    let physical = client.monitor("translate 0x77f064f0");
    let physical = physical.trim().rsplit_once(' ').unwrap().1.to_string();
    let code = client.monitor(&format!("xp 0x{physical} 4"));
    assert_eq!(code, format!("{physical}  8b d4 0f 34\n"));
    assert!(
        client
            .monitor("translate 0x90000000")
            .contains("has no page")
    );
    assert!(client.monitor("modules").contains("ntdll"));

    let ring = client.monitor("ring");
    assert!(
        ring.starts_with("ring 3 to ring 0: 828010c0 nt!KiFastCallEntry"),
        "{ring}"
    );
    assert!(ring.contains("flush register-cache"), "{ring}");
    assert_eq!(client.register("eip"), entry);
    client.monitor("cycles -5");
    client.monitor(&format!("goto cycle {cycle}"));
    assert_eq!(client.register("cycle"), cycle);

    assert!(client.monitor("stop ring").contains("a ring change"));
    assert_eq!(client.monitor("stop"), "a ring change\n");
    assert_eq!(client.go(), "S05");
    assert!(
        client.output.contains("stopped for a ring change"),
        "{}",
        client.output
    );
    assert_eq!(client.register("cpl"), 0);
    assert_eq!(client.ask("bc"), "S05");
    assert_eq!(client.register("cpl"), 3);
    client.monitor("stop none");
    client.monitor("stop port 0x3f8");
    assert_eq!(client.go(), "S05");
    assert!(client.monitor("ports 1").contains("out[03f8]="));

    for (command, expected) in [
        ("nonsense", "there is no command `nonsense`"),
        ("msr 0x999", "there is no MSR 0x999"),
        ("msr x", "`x` is no number"),
        ("stop port 65536", "`65536` is not a port"),
        ("stop register foo", "`foo` is no system register"),
        ("goto", "Expected: goto cycle|instruction N"),
        ("xp 0x90000000 4", "90000000"),
        ("trace 0", "is not a count"),
    ] {
        let text = client.monitor(command);
        assert!(text.contains(expected), "{command}: {text}");
    }
}

#[test]
fn ctrl_c_in_the_servers_terminal_ends_it_waiting_serving_or_running() {
    let rom = rom("interrupt.rom", &[0xEB, 0xFE]);
    for state in ["waiting", "serving", "running"] {
        let mut server = Server::start(&["--bios", &rom]);
        let client = (state != "waiting").then(|| {
            let mut client = server.connect();
            if state == "running" {
                client.send("vCont;c");
            }
            client
        });
        let process = server.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &process]).status();
        assert!(sent.unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(130), "{state}");
        server.line("interrupted at fffffff0");
        drop(client);
    }
}

/// Packets that mean something, to be spoilt.
const PACKETS: &[&str] = &[
    "?",
    "g",
    "G00",
    "m1000,4",
    "mffffff00,7fff",
    "m0,ffffffff",
    "M1000,2:aabb",
    "X1000,2:ab",
    "vCont;s:p1.1",
    "vCont;c",
    "bs",
    "bc",
    "Z0,1000,1",
    "Z2,1000,4",
    "Z3,0,ffffffff",
    "Z4,fffffffe,4",
    "z2,1000,4",
    "p8",
    "P8=00000000",
    "P3f=00",
    "qSupported:multiprocess+",
    "qXfer:features:read:target.xml:0,7ffb",
    "qXfer:memory-map:read::ffffffff,1",
    "vFile:pread:3,7fff,0",
    "vFile:fstat:3",
    "qRcmd,72696e67",
    "qRcmd,7472616365203130",
    "qRcmd,6379636c6573202d35",
    "qRcmd,",
    "Hc-1",
    "Hg0",
    "T1",
    "qC",
    "D",
    "vMustReplyEmpty",
    "QTDP",
    "",
];

#[test]
fn no_noise_ends_the_server() {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    let server = Server::start(&["--bios", &rom("noise.rom", &[0x40, 0xEB, 0xFD])]);
    let mut stream = server.stream();
    for _ in 0..300 {
        let mut body = PACKETS[random(PACKETS.len())].as_bytes().to_vec();
        for _ in 0..random(3) {
            let at = random(body.len() + 1);
            match random(2) {
                0 => body.insert(at, random(256) as u8),
                _ => body.truncate(at),
            }
        }
        // That is no noise: it kills the guest, and ends the server rightly.
        if body.starts_with(b"k") || body.starts_with(b"vKill") {
            continue;
        }
        let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let mut packet = [b"$", &body[..], format!("#{sum:02x}").as_bytes()].concat();
        if random(20) == 0 {
            packet.truncate(random(packet.len()));
        }
        // The last ends what runs.
        packet.push(3);
        let sent = stream.write_all(&packet);
        stream
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        let closed = matches!(stream.read(&mut [0; 0x10000]), Ok(0));
        if sent.is_err() || closed {
            drop(stream);
            server.line("; the guest is at ");
            stream = server.stream();
        }
    }
    drop(stream);
    server.line("the guest is at ");
    let mut client = server.connect();
    assert_eq!(client.ask("T1"), "OK");
}

/// What gdb is told to do, and what it must print then, in this order.
#[rustfmt::skip]
const SCRIPT: &[(&str, &[&str])] = &[
    ("break ntdll!ZwWriteFile", &["Breakpoint 1 at 0x77f05eb0"]),
    ("continue", &["Breakpoint 1, 0x77f05eb0 in ntdll!ZwWriteFile ()"]),
    ("x/4i $pc", &["<ntdll!ZwWriteFile>:", "mov    $0x18c,%eax", "call   *(%edx)", "ret    $0x24"]),
    ("print $cpl", &["$1 = 3"]),
    ("backtrace", &["KERNELBASE!WriteFile ()", "kernel32!WriteFileImplementation ()", "winlogon!WinMain ()"]),
    ("hbreak KiFastSystemCall", &["Hardware assisted breakpoint 2 at 0x77f064f0"]),
    ("continue", &["Breakpoint 2, 0x77f064f0 in ntdll!KiFastSystemCall ()"]),
    ("stepi", &["0x77f064f2 in ntdll!KiFastSystemCall ()"]),
    ("x/i $pc", &["=> 0x77f064f2 <ntdll!KiFastSystemCall+2>:", "sysenter"]),
    ("stepi", &["0x828010c0 in nt!KiFastCallEntry ()"]),
    ("print $cpl", &["$2 = 0"]),
    ("print $cr0", &["$3 = [ PE ", " WP PG ]"]),
    ("print/x $cr3", &["$4 = 0x1000"]),
    ("print $sysenter_eip", &["$5 = (void (*)()) 0x828010c0 <nt!KiFastCallEntry>"]),
    ("monitor msr 0x176", &["sysenter_eip       = 00000000`828010c0"]),
    ("reverse-stepi", &["0x77f064f2 in ntdll!KiFastSystemCall ()"]),
    ("print $cpl", &["$6 = 3"]),
    ("delete 2", &[]),
    ("rwatch *(int *)0x7ffe0300", &["Hardware read watchpoint 3: *(int *)0x7ffe0300"]),
    ("reverse-continue", &["Hardware read watchpoint 3", "Value = 2012243184", "0x77f05eba in ntdll!ZwWriteFile ()"]),
    ("delete 3", &[]),
    ("reverse-continue", &["Breakpoint 1, 0x77f05eb0 in ntdll!ZwWriteFile ()"]),
    ("reverse-continue", &["this is where the run began", "No more reverse-execution history.", "0x0000fff0"]),
    ("continue", &["Breakpoint 1, 0x77f05eb0 in ntdll!ZwWriteFile ()"]),
    ("watch *(int *)0xbff74", &["Hardware watchpoint 4: *(int *)0xbff74"]),
    ("continue", &["Hardware watchpoint 4", "New value = 2012241596", "in ntdll!KiFastSystemCall ()"]),
    ("delete", &[]),
    ("x/xw 0x90000000", &["Cannot access memory at address 0x90000000"]),
    ("set var *(int *)0x90000000 = 1", &["Cannot access memory at address 0x90000000"]),
    ("set $ebx = 0x1234", &[]),
    ("print/x $ebx", &["$7 = 0x1234"]),
    ("monitor stop ring", &["continue and reverse-continue stop at a ring change"]),
    ("continue", &["stopped for a ring change at 828010c0 nt!KiFastCallEntry, ring 0", "SIGTRAP"]),
    ("reverse-continue", &["0x77f064f2 in ntdll!KiFastSystemCall ()"]),
    ("monitor stop none", &[]),
    ("monitor ring", &["ring 3 to ring 0: 828010c0 nt!KiFastCallEntry"]),
    ("maintenance flush register-cache", &["Register cache flushed."]),
    ("x/i $pc", &["=> 0x828010c0 <nt!KiFastCallEntry>:"]),
    ("break *'nt!NtWriteFile'", &["Breakpoint 5 at 0x82801ec0"]),
    ("continue", &["Breakpoint 5, 0x82801ec0 in nt!NtWriteFile ()"]),
    ("print/x ((_KTRAP_FRAME *)$ebp)->SegCs", &["$8 = 0x1b"]),
    ("print KiServiceTable[0x18c]", &["$9 = (void (*)()) 0x82801ec0 <nt!NtWriteFile>"]),
    ("print KiArgumentTable[0x18c]", &["$10 = 36 "]),
    ("ptype /o _UNICODE_STRING", &["unsigned short Length;", "unsigned short MaximumLength;", "Buffer;", "total size (bytes):    8"]),
    ("delete", &[]),
    ("continue", &["the guest halted with interrupts off", "No more reverse-execution history."]),
    ("print $st0", &["<unavailable>"]),
    ("detach", &["detached"]),
];

#[test]
fn the_real_gdb_crosses_sysenter_forwards_and_backwards() {
    let found = Command::new("gdb").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("NOT RUN: there is no gdb on PATH");
        return;
    }
    let server = Server::start(&["--once"]);
    let mut script = String::from("set pagination off\nset confirm off\nset style enabled off\n");
    script += &format!("target remote 127.0.0.1:{}\n", server.port);
    for (number, (command, _)) in SCRIPT.iter().enumerate() {
        script += &format!("echo \\n--{number}--\\n\n{command}\n");
    }
    // Answers and errors into one file, in the order in which they come.
    let path = file("gdb.txt");
    let log = std::fs::File::create(&path).unwrap();
    let mut gdb = Command::new("gdb")
        .args(["-nx", "-q"])
        .env_remove("DEBUGINFOD_URLS")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    script += "quit\n";
    let mut input = gdb.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    assert!(gdb.wait().unwrap().success());
    let text = std::fs::read_to_string(&path).unwrap();
    println!("{text}");
    for (number, (command, expected)) in SCRIPT.iter().enumerate() {
        let from = text.find(&format!("--{number}--")).expect(command);
        let part = &text[from..];
        let part = &part[..part
            .find(&format!("--{}--", number + 1))
            .unwrap_or(part.len())];
        let mut rest = part;
        for needle in *expected {
            let at = rest.find(needle);
            let at = at.unwrap_or_else(|| panic!("`{command}` does not print `{needle}`: {part}"));
            rest = &rest[at + needle.len()..];
        }
    }
}
