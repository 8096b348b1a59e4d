//! Followed names that are symbolic links into other folders, as the names of a Kubernetes node's containers are: what
//! they lead to is rotated, copied, packed and deleted there, and each line is stored once, under the link's name.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use watchfire_test_support::logs::{assert_numbers, gzip, line, wait_total};
use watchfire_test_support::{Logs, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// How a name leads to the file of a container.
#[derive(Clone, Copy, Debug)]
enum Way {
    Absolute,
    Relative,
    /// Over a second link, as under Docker.
    Chain,
}

const WAYS: [Way; 3] = [Way::Absolute, Way::Relative, Way::Chain];

/// A node with a container per way, and numbered lines.
struct Node {
    logs: Logs,
    count: u64,
}

impl Node {
    fn new() -> Node {
        let logs = Logs::new();
        for folder in ["containers", "pods", "docker"] {
            fs::create_dir(logs.path(folder)).expect("the folder can be written");
        }
        let node = Node { logs, count: 0 };
        for way in WAYS {
            fs::create_dir(node.logs.path(&Node::folder(way))).expect("the folder can be written");
            fs::create_dir_all(node.logs.path(&format!("pods/{way:?}"))).expect("the folder can be written");
            node.start_container(way, 0);
        }
        node
    }

    /// The folder of a container's files.
    fn folder(way: Way) -> String {
        let root = if matches!(way, Way::Chain) { "docker" } else { "pods" };
        format!("{root}/{way:?}")
    }

    fn file(way: Way, start: u32) -> String {
        format!("{}/{start}.log", Node::folder(way))
    }

    /// The file of a container that was started so many times, and its link.
    fn start_container(&self, way: Way, start: u32) {
        let (file, link) = (Node::file(way, start), self.logs.path(&format!("containers/{way:?}-{start}.log")));
        drop(File::create_new(self.logs.path(&file)).expect("the name is free"));
        let target = match way {
            Way::Absolute => self.logs.path(&file),
            Way::Relative => format!("../{file}").into(),
            Way::Chain => {
                let between = self.logs.path(&format!("pods/{way:?}/{start}.log"));
                symlink(self.logs.path(&file), &between).expect("the name is free");
                between
            }
        };
        symlink(target, link).expect("the name is free");
    }

    fn remove_link(&self, way: Way, start: u32) {
        fs::remove_file(self.logs.path(&format!("containers/{way:?}-{start}.log"))).expect("it is there");
    }

    /// Further lines in a file.
    fn write(&mut self, file: &str) {
        let text: String = (self.count..self.count + 5).map(|number| line(number) + "\n").collect();
        self.count += 5;
        self.logs.append(file, &text);
    }

    /// As a kubelet rotates.
    fn rotate(&self, file: &str, number: u32) -> String {
        let rotated = format!("{file}.20261130-{number:06}");
        self.logs.rename(file, &rotated);
        drop(File::create_new(self.logs.path(file)).expect("the name is free"));
        rotated
    }

    fn pack(&self, file: &str) {
        let packed = gzip(&fs::read(self.logs.path(file)).expect("it is there"));
        fs::write(self.logs.path(&format!("{file}.tmp")), packed).expect("the folder can be written");
        self.logs.rename(&format!("{file}.tmp"), &format!("{file}.gz"));
        fs::remove_file(self.logs.path(file)).expect("it is there");
    }

    fn copy_and_cut(&self, file: &str, number: u32) {
        fs::copy(self.logs.path(file), self.logs.path(&format!("{file}.{number}"))).expect("it is there");
        File::create(self.logs.path(file)).expect("it can be cut");
    }

    fn config(&self) -> String {
        self.logs.config("containers/*.log", "")
    }

    /// A server that has read what the containers write: what is rotated before it looks for the first time is not
    /// asked for.
    fn follow(&mut self, config: &str) -> Server {
        let server = Server::start(BINARY, config);
        for way in WAYS {
            self.write(&Node::file(way, 0));
        }
        wait_total(&server, self.count);
        server
    }

    /// Each line came once, under the name of a link.
    fn assert_all(&self, server: &Server) {
        wait_total(server, self.count);
        assert_numbers(server, self.count);
        let found = server.client().get("/api/v1/logs/search?service=app&start=24h&limit=5000&buckets=0");
        let links = self.logs.path("containers").display().to_string();
        for log in found["logs"].as_array().expect("a list of records") {
            let source = log["source"].as_str().unwrap_or_default();
            assert!(source.starts_with(&links) && source.ends_with("-0.log") | source.ends_with("-1.log"), "{source}");
        }
    }
}

/// A node whose containers have written, and a server that has read it.
fn followed() -> (Node, Server) {
    let mut node = Node::new();
    let config = node.config();
    let server = node.follow(&config);
    (node, server)
}

#[test]
fn what_a_link_leads_to_is_rotated_while_we_look() {
    let (mut node, server) = followed();
    for number in 0..8 {
        for file in WAYS.map(|way| Node::file(way, 0)) {
            node.write(&file);
            let rotated = node.rotate(&file, number);
            node.write(&file);
            if number % 2 == 1 {
                node.pack(&rotated);
            }
        }
    }
    node.assert_all(&server);
    assert!(!server.log().contains(" WARN "), "{}", server.log());
}

type Happening = fn(&mut Node, Way);

/// What happens to the file of a container while nobody looks; its file is written to before.
const WHILE_DOWN: [(&str, Happening); 7] = [
    ("written to", |_, _| ()),
    ("rotated", |node, way| drop(node.rotate(&Node::file(way, 0), 1))),
    ("rotated and packed", |node, way| {
        let rotated = node.rotate(&Node::file(way, 0), 1);
        node.pack(&rotated);
    }),
    ("rotated twice", |node, way| {
        let file = Node::file(way, 0);
        node.rotate(&file, 1);
        node.write(&file);
        node.rotate(&file, 2);
    }),
    ("rotated twice and packed", |node, way| {
        let file = Node::file(way, 0);
        let first = node.rotate(&file, 1);
        node.write(&file);
        let second = node.rotate(&file, 2);
        node.pack(&first);
        node.pack(&second);
    }),
    ("copied and cut", |node, way| node.copy_and_cut(&Node::file(way, 0), 1)),
    ("rotated, and left for another container", |node, way| {
        let file = Node::file(way, 0);
        let first = node.rotate(&file, 1);
        node.pack(&first);
        node.write(&file);
        node.rotate(&file, 2);
        node.write(&file);
        node.remove_link(way, 0);
        node.start_container(way, 1);
        node.write(&Node::file(way, 1));
    }),
];

#[test]
fn what_a_link_leads_to_is_rotated_while_we_are_down() {
    for (what, happens) in WHILE_DOWN {
        println!("{what}");
        let mut node = Node::new();
        for way in WAYS {
            node.write(&Node::file(way, 0));
        }
        let mut server = Server::start(BINARY, &node.config());
        wait_total(&server, node.count);
        server.kill();
        for way in WAYS {
            node.write(&Node::file(way, 0));
            happens(&mut node, way);
            if node.logs.path(&format!("containers/{way:?}-0.log")).exists() {
                node.write(&Node::file(way, 0));
            }
        }
        server.restart();
        node.assert_all(&server);
        server.restart();
        node.assert_all(&server);
    }
}

#[test]
fn a_container_that_is_started_again_is_followed_and_the_one_before_is_read_to_its_end() {
    let (mut node, server) = followed();
    for way in WAYS {
        node.write(&Node::file(way, 0));
        node.remove_link(way, 0);
        node.start_container(way, 1);
        node.write(&Node::file(way, 1));
        node.write(&Node::file(way, 0));
    }
    node.assert_all(&server);
}

#[test]
fn a_pod_that_is_deleted_is_read_to_its_end() {
    let (mut node, mut server) = followed();
    for way in WAYS {
        node.write(&Node::file(way, 0));
        node.remove_link(way, 0);
        fs::remove_dir_all(node.logs.path(&Node::folder(way))).expect("it is there");
    }
    node.assert_all(&server);
    let metrics = server.client().try_get("/metrics").text();
    assert!(!metrics.lines().any(|line| line.contains("lost_bytes_total{") && !line.ends_with(" 0")), "{metrics}");
    server.restart();
    node.assert_all(&server);
}

#[test]
fn a_link_that_is_removed_ends_following() {
    let mut node = Node::new();
    let mut server = Server::start(BINARY, &node.config());
    let file = Node::file(Way::Absolute, 0);
    node.write(&file);
    wait_total(&server, node.count);
    node.remove_link(Way::Absolute, 0);
    // That is seen when what comes after it is read.
    node.start_container(Way::Relative, 1);
    node.write(&Node::file(Way::Relative, 1));
    wait_total(&server, node.count);
    for number in 0..3 {
        let rotated = node.rotate(&file, number);
        node.logs.append(&file, "not asked for\n");
        if number == 1 {
            node.pack(&rotated);
        }
    }
    node.start_container(Way::Chain, 1);
    node.write(&Node::file(Way::Chain, 1));
    node.assert_all(&server);
    server.restart();
    node.write(&Node::file(Way::Chain, 1));
    node.assert_all(&server);
    // When the link is back, the file is, and what is rotated from then on.
    let link = node.logs.path("containers/Absolute-0.log");
    symlink(node.logs.path(&file), link).expect("the name is free");
    wait_total(&server, node.count + 1);
    node.rotate(&file, 3);
    node.logs.append(&file, "asked for\n");
    wait_total(&server, node.count + 2);
}

#[test]
fn links_that_all_lead_nowhere_are_told_once() {
    let mut node = Node::new();
    fs::rename(node.logs.path("pods"), node.logs.path("unmounted")).expect("it is there");
    fs::rename(node.logs.path("docker"), node.logs.path("unmounted/docker")).expect("it is there");
    let server = Server::start(BINARY, &node.config());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !server.log().contains("all links lead to folders that are not there") {
        assert!(Instant::now() < deadline, "nothing is told: {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::rename(node.logs.path("unmounted/docker"), node.logs.path("docker")).expect("it is there");
    fs::rename(node.logs.path("unmounted"), node.logs.path("pods")).expect("it is there");
    for way in WAYS {
        node.write(&Node::file(way, 0));
    }
    node.assert_all(&server);
    assert_eq!(server.log().matches(" WARN ").count(), 1, "{}", server.log());
}

#[test]
fn what_several_links_and_globs_lead_to_is_read_once() {
    let mut node = Node::new();
    for way in WAYS {
        let (from, to) = (format!("containers/{way:?}-0.log"), format!("containers/another-{way:?}-0.log"));
        symlink(node.logs.path(&from), node.logs.path(&to)).expect("the name is free");
    }
    let path = |glob: &str| node.logs.path(glob).display().to_string();
    let config = format!(
        "sources: {{files: [{{path: [\"{}\", \"{}\"], service: app}}, {{path: \"{}\", service: app}}]}}\n",
        path("containers/*.log"),
        path("pods/*/*.log"),
        path("docker/*/*.log")
    );
    let mut server = node.follow(&config);
    for number in 0..4 {
        for way in WAYS {
            let file = Node::file(way, 0);
            node.write(&file);
            let rotated = node.rotate(&file, number);
            node.write(&file);
            if number == 1 {
                node.pack(&rotated);
            }
        }
        if number == 2 {
            server.kill();
        }
    }
    server.restart();
    node.assert_all(&server);
    server.restart();
    node.assert_all(&server);
}
