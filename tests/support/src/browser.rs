//! A real browser without a window, driven over the DevTools protocol: the least that tests of pages need.
//!
//! The protocol runs over a pair of named pipes, so that no port and no WebSocket is needed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for an answer of the browser, and for a condition in a page; a busy machine takes its time.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A running browser; ended when dropped.
pub struct Browser {
    child: Child,
    commands: File,
    answers: Receiver<Value>,
    last_id: u64,
    /// Events by session, until somebody looks at them.
    events: HashMap<String, Vec<Value>>,
    /// Profile and pipes.
    _folder: tempfile::TempDir,
}

/// The programs that will do.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

impl Browser {
    /// Starts a browser; says so and answers nothing where there is none.
    pub fn start(what: &str) -> Option<Browser> {
        let Some(program) = program() else {
            println!("SKIP: {what}: no chromium is installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let (to, from) = (folder.path().join("commands"), folder.path().join("answers"));
        for pipe in [&to, &from] {
            let status = Command::new("mkfifo").arg(pipe).status().expect("mkfifo is there");
            assert!(status.success(), "mkfifo: {status}");
        }
        // The protocol is spoken on the file descriptors 3 and 4; a shell is the plainest way to open them.
        let child = Command::new("sh")
            .args(["-c", "to=$1 from=$2; shift 2; exec \"$@\" 3<\"$to\" 4>\"$from\"", "sh"])
            .args([&to, &from, &program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--remote-debugging-pipe", "--disable-background-networking", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let commands = OpenOptions::new().write(true).open(&to).expect("the pipe");
        let answers = read_messages(File::open(&from).expect("the pipe"));
        Some(Browser { child, commands, answers, last_id: 0, events: HashMap::new(), _folder: folder })
    }

    /// Sends a command to a page, or to the browser itself, and waits for its answer.
    fn command(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        write!(self.commands, "{message}\0").and_then(|()| self.commands.flush()).expect("the browser runs");
        loop {
            let message = self.answers.recv_timeout(ANSWER_MAX);
            let message = message.unwrap_or_else(|error| panic!("{method}: the browser does not answer: {error}"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.keep(message);
        }
    }

    fn keep(&mut self, event: Value) {
        if let Some(session) = event["sessionId"].as_str() {
            self.events.entry(session.to_owned()).or_default().push(event);
        }
    }

    /// A new page, in the colours of a theme of the system.
    pub fn page(&mut self, width: u32, height: u32, dark: bool) -> Page<'_> {
        let target = self.command(None, "Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session =
            self.command(None, "Target.attachToTarget", attach)["sessionId"].as_str().expect("a session").to_owned();
        let mut page = Page { browser: self, session, target: target["targetId"].clone(), origin: String::new() };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.command(&format!("{domain}.enable"), json!({}));
        }
        page.look(width, height, dark);
        page
    }
}

fn read_messages(pipe: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of the browser.
pub struct Page<'b> {
    browser: &'b mut Browser,
    session: String,
    target: Value,
    origin: String,
}

impl Page<'_> {
    /// Sends a command of the protocol.
    pub fn command(&mut self, method: &str, params: Value) -> Value {
        let session = self.session.clone();
        self.browser.command(Some(&session), method, params)
    }

    /// Changes the size of the window and the theme of the system.
    pub fn look(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.command("Emulation.setDeviceMetricsOverride", size);
        let theme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.command("Emulation.setEmulatedMedia", features);
    }

    /// Loads a URL and waits until all that it names itself is loaded.
    pub fn go(&mut self, url: &str) {
        self.origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        self.load("Page.navigate", json!({"url": url}));
    }

    /// Loads the page again and waits as [`Page::go`] does: what is asked of a page that is about to go is not answered.
    pub fn reload(&mut self) {
        self.load("Page.reload", json!({}));
    }

    fn load(&mut self, method: &str, params: Value) {
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        self.browser.events.entry(self.session.clone()).or_default().retain(|event| !loaded(event));
        self.command(method, params.clone());
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            let events = self.browser.events.entry(self.session.clone()).or_default();
            if events.iter().any(loaded) {
                events.retain(|event| !loaded(event));
                return;
            }
            assert!(Instant::now() < deadline, "{method} {params}: not loaded");
            if let Ok(event) = self.browser.answers.recv_timeout(ANSWER_MAX) {
                self.browser.keep(event);
            }
        }
    }

    /// Evaluates a script; a promise is waited for.
    pub fn eval(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.command("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until a script's value is true (not empty, which lists are not by themselves, and not 0) and answers it.
    pub fn wait(&mut self, what: &str, script: &str) -> Value {
        let limit_ms = ANSWER_MAX.as_millis() / 2;
        let waiting = format!(
            "new Promise((done) => {{ const begun = performance.now(); const look = () => {{ \
               let value; try {{ value = ({script}); }} catch {{}} \
               if (value instanceof Node) done(true); else if (value && value.length !== 0) done(value); else if (performance.now() - begun > {limit_ms}) done(null); else setTimeout(look, 10); }}; look(); }})"
        );
        let value = self.eval(&waiting);
        assert!(!value.is_null(), "{what}: waited in vain for {script}\n{}", self.eval("document.body.innerText"));
        value
    }

    /// Presses and releases a key, by its name (`j`, `Enter`, `Escape`, `Tab`).
    pub fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowDown" => 40,
            " " => 32,
            _ => 0,
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key == "Enter" {
            down["text"] = json!("\r");
        } else if key.chars().count() == 1 {
            down["text"] = json!(key);
        }
        self.command("Input.dispatchKeyEvent", down);
        self.command("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}));
    }

    /// Presses and releases a key while Control is held.
    pub fn control(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            self.command("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "modifiers": 2}));
        }
    }

    /// Moves the pointer over the element that a script names, at a part of its width, from its left.
    pub fn hover(&mut self, element: &str, part: f64) {
        let point = format!(
            "(() => {{ const box = ({element}).getBoundingClientRect(); return [box.left + box.width * {part}, box.top + box.height / 2]; }})()"
        );
        let at = self.eval(&point);
        self.command("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": at[0], "y": at[1]}));
    }

    /// Types a text, key by key.
    pub fn write(&mut self, text: &str) {
        for key in text.chars() {
            self.key(&key.to_string());
        }
    }

    /// What went wrong since the last look: messages of the console, exceptions, requests to anybody else.
    pub fn problems(&mut self) -> Vec<String> {
        // An answer later than all events so far.
        self.eval("0");
        let events = self.browser.events.remove(&self.session).unwrap_or_default();
        events.iter().filter_map(|event| problem(event, &self.origin)).collect()
    }

    /// Names of controls without a name, as a screen reader would find them.
    pub fn unnamed_controls(&mut self) -> Vec<String> {
        let controls = ["button", "link", "textbox", "combobox", "checkbox", "searchbox", "tab", "img", "dialog"];
        let tree = self.command("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let unnamed = nodes.iter().filter(|node| {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            node["ignored"] == false
                && controls.contains(&role)
                && node["name"]["value"].as_str().is_none_or(|name| name.trim().is_empty())
        });
        unnamed.map(|node| node.to_string()).collect()
    }

    /// Writes a picture of what is in sight.
    pub fn screenshot(&mut self, file: &Path) {
        let picture = self.command("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = from_base64(picture["data"].as_str().unwrap_or_default());
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(file, bytes).expect("the folder can be written");
    }

    /// Closes the page.
    pub fn close(self) {
        let target = self.target.clone();
        self.browser.command(None, "Target.closeTarget", json!({ "targetId": target }));
    }
}

fn problem(event: &Value, origin: &str) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Log.entryAdded" if matches!(params["entry"]["level"].as_str(), Some("error" | "warning")) => {
            Some(format!("{} {}", params["entry"]["text"], params["entry"]["url"]))
        }
        "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "warning" | "assert")) => {
            Some(params["args"].to_string())
        }
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str().unwrap_or_default();
            let ours = url.starts_with(origin) || url.starts_with("data:") || url.starts_with("about:");
            (!ours).then(|| format!("a request to {url}"))
        }
        _ => None,
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
