//! Who runs in a container: names and numbers resolved against its `/etc/passwd` and `/etc/group`.

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Home folder of the user; `/` for one the file does not know.
    pub(crate) home: String,
}

/// The user or group is not in the container's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownUser {
    #[error("no user {0:?} in the container's /etc/passwd")]
    User(String),
    #[error("no group {0:?} in the container's /etc/group")]
    Group(String),
}

/// Returns who `user[:group]` is; empty is root. A number need not be in the files; without a
/// group it is the user's own, or 0 for a number that the files do not know (as Docker has it).
pub(crate) fn resolve(who: &str, extra: &[String], passwd: &str, group: &str) -> Result<User, UnknownUser> {
    let (user, wanted_group) = match who.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (who, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = self::number(user);
    let entry = passwd
        .lines()
        .filter_map(Account::parse)
        .find(|account| account.name == user)
        .or_else(|| passwd.lines().filter_map(Account::parse).find(|account| Some(account.uid) == number));
    let (uid, own_group, home) = match (&entry, number) {
        (Some(account), _) => (account.uid, account.gid, account.home),
        (None, Some(uid)) => (uid, 0, "/"),
        (None, None) => return Err(UnknownUser::User(user.to_owned())),
    };
    let gid = wanted_group.map_or(Ok(own_group), |name| group_number(name, group))?;
    // Its own group too: a set-group-id program must not be able to leave it (CVE-2022-36109).
    let mut groups = vec![gid];
    if wanted_group.is_none()
        && let Some(account) = &entry
    {
        groups.extend(group.lines().filter_map(Group::parse).filter(|g| g.has(account.name)).map(|g| g.gid));
    }
    for name in extra {
        groups.push(group_number(name, group)?);
    }
    groups.sort_unstable();
    groups.dedup();
    let home = if home.is_empty() { "/" } else { home };
    Ok(User { uid, gid, groups, home: home.to_owned() })
}

fn group_number(name: &str, group: &str) -> Result<u32, UnknownUser> {
    let named = group.lines().filter_map(Group::parse).find(|g| g.name == name).map(|g| g.gid);
    named.or_else(|| number(name)).ok_or_else(|| UnknownUser::Group(name.to_owned()))
}

/// Returns the number of a user or group. As Docker has it, those from 2^31 on are none; above all
/// -1, which would leave the process who it is: root (setresuid(2)).
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| i32::try_from(number).is_ok())
}

/// A line of passwd(5).
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let &[name, _, uid, gid, _, home, ..] = &fields[..] else { return None };
        Some(Self { name, uid: number(uid)?, gid: number(gid)?, home })
    }
}

/// A line of group(5).
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { name, gid: number(gid)?, members: fields.next().unwrap_or("") })
    }

    fn has(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:1000::/data:/bin/false\nbad line\n";
    const GROUP: &str = "root:x:0:\nredis:x:1000:\naudio:x:29:redis,root\nvideo:x:44:redis\n";

    #[test]
    fn names_and_numbers() {
        let check = |who: &str, extra: &[&str], expected: (u32, u32, &[u32], &str)| {
            let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
            let (uid, gid, groups, home) = expected;
            let expected = User { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(resolve(who, &extra, PASSWD, GROUP), Ok(expected), "{who:?}");
        };
        check("", &[], (0, 0, &[0, 29], "/root"));
        check("redis", &[], (999, 1000, &[29, 44, 1000], "/data"));
        check("999", &[], (999, 1000, &[29, 44, 1000], "/data"));
        check("redis:audio", &[], (999, 29, &[29], "/data"));
        check("1234", &[], (1234, 0, &[0], "/"));
        check("1234:5678", &["video", "77"], (1234, 5678, &[44, 77, 5678], "/"));
        assert_eq!(resolve("nobody", &[], PASSWD, GROUP), Err(UnknownUser::User("nobody".into())));
        assert_eq!(resolve("0:wheel", &[], PASSWD, GROUP), Err(UnknownUser::Group("wheel".into())));
        assert_eq!(resolve("0", &[], "", "").map(|u| u.uid), Ok(0));
    }
}
