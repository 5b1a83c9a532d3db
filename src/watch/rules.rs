//! Which change of which file leads to what: `develop.watch` and `x-stack.watch`, without I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::pattern::Patterns;
use crate::compose::model::{Hook, Project, Service, VolumeMountKind, WatchAction, WatchMode, WatchRule};
use crate::ids::ServiceName;

/// What the rules must know of the host.
pub trait Host {
    /// Returns the path without links; as it is where nothing is there.
    fn real(&self, path: &Path) -> PathBuf;
    /// Tells whether anything is there.
    fn is_there(&self, path: &Path) -> bool;
    /// Tells whether a folder is there.
    fn is_folder(&self, path: &Path) -> bool;
    /// Returns what is in a text file; `None` where there is none.
    fn text(&self, path: &Path) -> Option<String>;
}

/// One path that is watched for one service.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The service.
    pub service: ServiceName,
    /// The path as the file names it, absolute.
    pub path: PathBuf,
    /// The path without links: what changes are told of.
    pub root: PathBuf,
    /// Where in the container its files are copied; `None` where nothing is.
    pub target: Option<String>,
    /// The containers are restarted.
    pub restart: bool,
    /// What is run in the containers.
    pub exec: Option<Hook>,
    /// Files that differ are copied when watching begins, and to new containers.
    pub initial_sync: bool,
    filter: Filter,
}

/// Which paths below a rule's own count.
#[derive(Debug, Clone, Default)]
struct Filter {
    /// `.dockerignore` of the build context that the path is in, and that folder.
    context: Option<(PathBuf, Patterns)>,
    ignore: Patterns,
    include: Patterns,
}

/// One file that is to be in a container as it is on the host: written, or gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    /// Path on the host.
    pub from: PathBuf,
    /// Absolute path in the container.
    pub to: String,
}

/// What changes lead to for one service: files are copied, then commands are run, then its
/// containers are restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The service.
    pub service: ServiceName,
    /// What is copied, without doubles, by path.
    pub copies: Vec<Copy>,
    /// Rules whose command is run, once each.
    pub exec: Vec<usize>,
    /// Rules that want a restart; there is one for all of them.
    pub restart: Vec<usize>,
    /// Changed paths, for whom it is told.
    pub causes: BTreeSet<PathBuf>,
}

/// A project's rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// What the user should know of them.
    pub notes: Vec<String>,
}

impl Rules {
    /// Returns the rules of these services, of all for none.
    ///
    /// # Errors
    ///
    /// One sentence a rule that cannot be carried out: nothing may be started then.
    pub fn of(project: &Project, services: &[ServiceName], host: &dyn Host) -> Result<Self, Vec<String>> {
        let mut found = Self::default();
        let mut errors = Vec::new();
        for (name, service) in &project.services {
            if !services.is_empty() && !services.contains(name) {
                continue;
            }
            for rule in service.develop.iter().flat_map(|develop| &develop.watch) {
                match found.rule(name, service, rule, host) {
                    Ok(rule) => found.rules.push(rule),
                    Err(error) => errors.push(format!("service \"{name}\", `develop.watch`: {error}")),
                }
            }
            if let Some(WatchMode::Restart) = service.x_stack.watch {
                found.mounts(name, service, host);
            }
        }
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    fn rule(
        &mut self,
        name: &ServiceName,
        service: &Service,
        rule: &WatchRule,
        host: &dyn Host,
    ) -> Result<Rule, String> {
        if rule.action == WatchAction::Rebuild {
            return Err("the action `rebuild` needs images to be built, which is not supported yet".to_owned());
        }
        let root = host.real(&rule.path);
        if !host.is_there(&root) {
            self.notes.push(format!("service \"{name}\": {} is not there yet: it is waited for", rule.path.display()));
        }
        let syncs = !matches!(rule.action, WatchAction::Restart);
        let mut target = rule.target.clone().filter(|_| syncs).map(|target| {
            // A file goes to its target, or into it where that is written as a folder.
            let into = target.ends_with('/') && !host.is_folder(&root);
            let base = if into { target + &name_of(&root) } else { target };
            clean(&base)
        });
        if let Some(mount) = target.as_ref().and_then(|target| mounted_there(service, &root, target, host)) {
            self.notes.push(format!(
                "service \"{name}\": {} is mounted at {mount}, where `develop.watch` would copy it to: nothing is copied",
                rule.path.display()
            ));
            target = None;
        }
        let filter = Filter {
            context: context(service, &root, host)?,
            ignore: Patterns::new(rule.ignore.iter().map(String::as_str)).map_err(|e| format!("`ignore`: {e}"))?,
            include: Patterns::new(rule.include.iter().map(String::as_str)).map_err(|e| format!("`include`: {e}"))?,
        };
        Ok(Rule {
            service: name.clone(),
            path: rule.path.clone(),
            root,
            target,
            restart: matches!(rule.action, WatchAction::Restart | WatchAction::SyncRestart),
            exec: rule.exec.clone().filter(|_| rule.action == WatchAction::SyncExec),
            initial_sync: rule.initial_sync && syncs,
            filter,
        })
    }

    /// `x-stack: {watch: restart}`: what is mounted from the host. Files of variables are read when
    /// the project is planned again.
    fn mounts(&mut self, name: &ServiceName, service: &Service, host: &dyn Host) {
        for mount in &service.volumes {
            let VolumeMountKind::Bind { source, .. } = &mount.kind else { continue };
            self.rules.push(Rule {
                service: name.clone(),
                path: source.clone(),
                root: host.real(source),
                target: None,
                restart: true,
                exec: None,
                initial_sync: false,
                filter: Filter::default(),
            });
        }
    }

    /// Returns what changes of these paths lead to, one reaction a service in the order of the
    /// file. `muted` are pairs of rule and path that are not listened to any more.
    pub fn react(&self, changed: &[PathBuf], muted: &BTreeSet<(usize, PathBuf)>) -> Vec<Reaction> {
        let mut reactions: Vec<Reaction> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let heard = |path: &&PathBuf| rule.wants(path) && !muted.contains(&(index, (*path).clone()));
            let causes: BTreeSet<PathBuf> = changed.iter().filter(heard).cloned().collect();
            if causes.is_empty() {
                continue;
            }
            let reaction = match reactions.iter_mut().find(|reaction| reaction.service == rule.service) {
                Some(reaction) => reaction,
                None => {
                    reactions.push(Reaction::of(rule.service.clone()));
                    reactions.last_mut().expect("it was just pushed")
                }
            };
            reaction.copies.extend(causes.iter().filter_map(|path| rule.copy(path)));
            if rule.exec.is_some() {
                reaction.exec.push(index);
            }
            if rule.restart {
                reaction.restart.push(index);
            }
            reaction.causes.extend(causes);
        }
        for reaction in &mut reactions {
            reaction.copies.sort();
            reaction.copies.dedup();
        }
        reactions
    }

    /// Tells whether any rule looks at what is in a folder.
    pub fn enters(&self, folder: &Path) -> bool {
        self.rules.iter().any(|rule| rule.enters(folder))
    }

    /// Tells whether any rule acts on a path.
    pub fn wants(&self, path: &Path) -> bool {
        self.rules.iter().any(|rule| rule.wants(path))
    }
}

impl Reaction {
    fn of(service: ServiceName) -> Self {
        Self { service, copies: Vec::new(), exec: Vec::new(), restart: Vec::new(), causes: BTreeSet::new() }
    }
}

impl Rule {
    /// Tells whether a change of this path is one for the rule.
    pub fn wants(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else { return false };
        !below.iter().any(|name| is_passing(&name.to_string_lossy()))
            && !self.filter.ignore.matches(below)
            && !self.filter.in_context(path, |patterns, path| patterns.matches(path))
            && (self.filter.include.is_empty() || self.filter.include.matches(below))
    }

    /// Tells whether anything below a folder may be wanted.
    pub fn enters(&self, folder: &Path) -> bool {
        let Ok(below) = folder.strip_prefix(&self.root) else { return false };
        !below.iter().any(|name| is_passing(&name.to_string_lossy()))
            && (below.as_os_str().is_empty()
                || !self.filter.ignore.matches_all_below(below)
                    && !self.filter.in_context(folder, |patterns, path| patterns.matches_all_below(path))
                    && (self.filter.include.is_empty() || self.filter.include.may_match_below(below)))
    }

    /// Returns where a path is copied to; `None` where nothing is copied.
    pub fn copy(&self, path: &Path) -> Option<Copy> {
        let target = self.target.as_ref()?;
        let below = path.strip_prefix(&self.root).ok()?;
        let to = if below.as_os_str().is_empty() {
            target.clone()
        } else {
            // A name that is no text is copied under the nearest one.
            format!("{}/{}", target.trim_end_matches('/'), below.to_string_lossy())
        };
        Some(Copy { from: path.to_owned(), to })
    }
}

impl fmt::Display for Rule {
    /// `web: ./src -> /app, restart`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.path.display())?;
        let target = self.target.as_ref().map(|target| format!(" -> {target}"));
        let exec = self.exec.as_ref().map(|hook| format!(", run {}", shell_words::join(&hook.command)));
        write!(f, "{}{}", target.unwrap_or_default(), exec.unwrap_or_default())?;
        if self.restart { f.write_str(", restart") } else { Ok(()) }
    }
}

impl Filter {
    fn in_context(&self, path: &Path, matches: impl Fn(&Patterns, &Path) -> bool) -> bool {
        let Some((context, patterns)) = &self.context else { return false };
        path.strip_prefix(context).is_ok_and(|below| !below.as_os_str().is_empty() && matches(patterns, below))
    }
}

/// Tells whether a name is one of version control, or of a file that an editor has only while it
/// saves or is open.
fn is_passing(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_swap = || {
        // `.main.rs.swp`, `.swo`, ... of vim.
        name.starts_with('.')
            && name.rsplit_once('.').is_some_and(|(stem, end)| {
                !stem.is_empty() && end.len() == 3 && end.starts_with("sw") && end.as_bytes()[2].is_ascii_lowercase()
            })
    };
    name == ".git"
        || name == ".DS_Store"
        || name.ends_with('~')
        || name.starts_with(".#")
        || (bytes.len() > 2 && bytes[0] == b'#' && bytes[bytes.len() - 1] == b'#')
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || name.starts_with(".goutputstream-")
        || name.starts_with(".~lock.")
        || name.starts_with(super::ASIDE)
        || name.ends_with(".kate-swp")
        || is_swap()
}

/// Returns the `.dockerignore` of the build context that a path is in.
fn context(service: &Service, root: &Path, host: &dyn Host) -> Result<Option<(PathBuf, Patterns)>, String> {
    let Some(build) = &service.build else { return Ok(None) };
    let context = host.real(Path::new(&build.context));
    if !context.is_absolute() || !root.starts_with(&context) {
        return Ok(None);
    }
    // One beside the Dockerfile goes first.
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let files = [context.join(format!("{dockerfile}.dockerignore")), context.join(".dockerignore")];
    for file in files {
        if let Some(text) = host.text(&file) {
            let patterns = Patterns::of_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            return Ok(Some((context, patterns)));
        }
    }
    Ok(None)
}

/// Returns the mount by which a path of the host is at this place of the container anyway.
fn mounted_there(service: &Service, root: &Path, target: &str, host: &dyn Host) -> Option<String> {
    service.volumes.iter().find_map(|mount| {
        let VolumeMountKind::Bind { source, .. } = &mount.kind else { return None };
        let below = root.strip_prefix(host.real(source)).ok()?;
        let there = Path::new(&clean(&mount.target)).join(below);
        (there == Path::new(target)).then(|| mount.target.clone())
    })
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns an absolute path of a container without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str().unwrap_or_default()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
