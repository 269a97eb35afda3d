//! Pictures of pages, and whether they are the approved ones.
//!
//! Approved pictures are `tests/approved/NAME.png`, of a whole page each, one pixel for each CSS pixel, in the
//! fonts of `fonts.conf`: the same on each machine of one Debian release. What differs at each look (times, ages,
//! addresses) is marked `data-changing` by the page, keeps its place and is not seen. A page differs if its
//! picture has another size, or if more pixels than [`Tolerance`] allows differ. `SLIPWAY_APPROVE_PICTURES=1`
//! approves what is there. What differed is in `target/pictures`: `NAME.actual.png`, and `NAME.difference.png` with
//! what differs in red.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, EncodingError, Transformations};
use serde_json::json;

use super::Browser;

/// Of a pixel.
const CHANNELS: usize = 4;
const RED: [u8; CHANNELS] = [220, 0, 0, 255];

/// Hides what changes, ends what moves, lets go of what sticks to the window and would lie over the middle of the
/// page, and waits until fonts are there and the result is painted. A style sheet of a script's making is bound by no
/// policy of the page.
const STEADY: &str = "(async () => {
    for (const element of document.body.querySelectorAll('*')) {
        if (getComputedStyle(element).position === 'sticky') element.setAttribute('data-let-go', '');
    }
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
        [data-changing], [data-changing] * { visibility: hidden !important; }
        *, *::before, *::after { animation: none !important; transition: none !important; }
        * { caret-color: transparent !important; }
        [data-let-go] { position: static !important; }
    `);
    globalThis[Symbol.for('slipway.steady')] = sheet;
    document.adoptedStyleSheets.push(sheet);
    await document.fonts.ready;
    await new Promise(painted => requestAnimationFrame(() => requestAnimationFrame(painted)));
})()";
const UNSTEADY: &str = "(() => {
    const key = Symbol.for('slipway.steady');
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter(sheet => sheet !== globalThis[key]);
    delete globalThis[key];
    for (const element of document.querySelectorAll('[data-let-go]')) element.removeAttribute('data-let-go');
})()";

/// By how much a picture may differ from the approved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// A pixel differs if one of its channels (red, green, blue, opacity: 0 to 255) does by more than this.
    pub channel: u8,
    /// So many pixels of a million may differ.
    pub pixels_per_million: usize,
}

impl Tolerance {
    /// Nothing may differ.
    pub const EXACT: Self = Self { channel: 0, pixels_per_million: 0 };
}

/// A letter is some 50 pixels, a telephone's window 330,000.
impl Default for Tolerance {
    fn default() -> Self {
        Self { channel: 16, pixels_per_million: 50 }
    }
}

/// Pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// Red, green, blue and opacity of each pixel, row by row.
    rgba: Vec<u8>,
}

/// How a picture differs from the approved one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// There is no approved picture.
    Unknown,
    /// Width and height.
    Size {
        /// Of the one.
        approved: (u32, u32),
        /// Of the other.
        actual: (u32, u32),
    },
    /// More pixels than may.
    Pixels {
        /// How many.
        differing: usize,
        /// Of how many.
        of: usize,
        /// The approved picture in pale, what differs in red.
        shown: Picture,
    },
}

impl Picture {
    /// Reads a PNG of any colours.
    pub fn from_png(bytes: &[u8]) -> Result<Self, DecodingError> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info()?;
        let size = reader.output_buffer_size().ok_or(DecodingError::LimitsExceeded)?;
        let mut rgba = vec![0; size];
        let frame = reader.next_frame(&mut rgba)?;
        assert_eq!(frame.color_type, ColorType::Rgba, "pictures of pages have colours");
        rgba.truncate(frame.buffer_size());
        Ok(Self { width: frame.width, height: frame.height, rgba })
    }

    /// Writes it as a PNG.
    pub fn to_png(&self) -> Result<Vec<u8>, EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgba)?;
        writer.finish()?;
        Ok(bytes)
    }

    /// How `actual` differs from this picture, if by more than is tolerated.
    pub fn difference(&self, actual: &Self, tolerance: Tolerance) -> Option<Difference> {
        let (approved_size, actual_size) = ((self.width, self.height), (actual.width, actual.height));
        if approved_size != actual_size {
            return Some(Difference::Size { approved: approved_size, actual: actual_size });
        }
        let (approved, actual) = (self.rgba.chunks_exact(CHANNELS), actual.rgba.chunks_exact(CHANNELS));
        let differs = |(one, other): (&[u8], &[u8])| {
            one.iter().zip(other).any(|(one, other)| one.abs_diff(*other) > tolerance.channel)
        };
        let differing: Vec<bool> = approved.zip(actual).map(differs).collect();
        let (count, of) = (differing.iter().filter(|differs| **differs).count(), differing.len());
        let tolerated = count * 1_000_000 <= of * tolerance.pixels_per_million;
        (!tolerated).then(|| Difference::Pixels { differing: count, of, shown: self.marked(&differing) })
    }

    fn marked(&self, differing: &[bool]) -> Self {
        let pixels = self.rgba.chunks_exact(CHANNELS).zip(differing);
        let rgba = pixels.flat_map(|(pixel, differs)| if *differs { RED } else { pale(pixel) }).collect();
        Self { width: self.width, height: self.height, rgba }
    }
}

fn pale(pixel: &[u8]) -> [u8; CHANNELS] {
    let channel = |index: usize| 192 + pixel[index] / 4;
    [channel(0), channel(1), channel(2), 255]
}

/// Approved pictures, and where to put those that are not.
#[derive(Debug, Clone)]
pub struct Gallery {
    approved: PathBuf,
    failures: PathBuf,
    approves: bool,
    tolerance: Tolerance,
}

impl Gallery {
    /// The repository's, which approves if `SLIPWAY_APPROVE_PICTURES` is `1`.
    pub fn of_repository() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let approves = env::var_os("SLIPWAY_APPROVE_PICTURES").is_some_and(|value| value == "1");
        Self::at(&tests.join("approved"), &tests.join("../target/pictures"), approves)
    }

    /// One in two directories, which need not be there.
    pub fn at(approved: &Path, failures: &Path, approves: bool) -> Self {
        let tolerance = Tolerance::default();
        Self { approved: approved.to_owned(), failures: failures.to_owned(), approves, tolerance }
    }

    /// Where pictures go that are not the approved ones.
    pub fn failures(&self) -> &Path {
        &self.failures
    }

    /// Compares a PNG with the approved one of this name. The error says how they differ and where to look.
    pub fn check(&self, name: &str, png: &[u8]) -> Result<(), String> {
        let approved = self.approved.join(format!("{name}.png"));
        let Some(difference) = self.compare(&approved, png) else { return Ok(()) };
        if self.approves {
            return write(&approved, png);
        }
        let actual = self.failures.join(format!("{name}.actual.png"));
        write(&actual, png)?;
        let mut said = format!("{name}: {}\nactual: {}", told(&difference), actual.display());
        if let Difference::Pixels { shown, .. } = &difference {
            let path = self.failures.join(format!("{name}.difference.png"));
            write(&path, &shown.to_png().map_err(|error| error.to_string())?)?;
            said.push_str(&format!("\ndifference: {}", path.display()));
        }
        said.push_str(&format!("\napproved: {}", approved.display()));
        said.push_str("\nIf the page is right as it is, run the test with SLIPWAY_APPROVE_PICTURES=1.");
        Err(said)
    }

    /// Whether a PNG is the approved one of this name.
    pub fn is_approved(&self, name: &str, png: &[u8]) -> bool {
        self.compare(&self.approved.join(format!("{name}.png")), png).is_none()
    }

    fn compare(&self, approved: &Path, png: &[u8]) -> Option<Difference> {
        let bytes = match fs::read(approved) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Difference::Unknown),
            Err(error) => panic!("{}: {error}", approved.display()),
        };
        let read =
            |bytes: &[u8]| Picture::from_png(bytes).unwrap_or_else(|error| panic!("no picture: {error}"));
        read(&bytes).difference(&read(png), self.tolerance)
    }
}

fn told(difference: &Difference) -> String {
    match difference {
        Difference::Unknown => "there is no approved picture of this name".to_owned(),
        Difference::Size { approved, actual } => {
            format!(
                "the picture is {} x {} pixels, approved {} x {}",
                actual.0, actual.1, approved.0, approved.1
            )
        }
        Difference::Pixels { differing, of, .. } => format!("{differing} of {of} pixels differ"),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let directory = path.parent().expect("invariant: a picture lies in a directory");
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(path, bytes));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

impl Browser {
    /// A PNG of the page from its top to its end, without what changes.
    pub fn photograph(&self) -> Vec<u8> {
        self.evaluate(STEADY);
        let metrics = self.cdp("Page.getLayoutMetrics", json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.cdp("Page.captureScreenshot", parameters);
        self.evaluate(UNSTEADY);
        let data = shot["data"].as_str().expect("a picture is base64");
        STANDARD.decode(data).expect("a picture is base64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32) -> Picture {
        let pixels = usize::try_from(width * height).expect("a small picture");
        Picture { width, height, rgba: [40, 80, 120, 255].repeat(pixels) }
    }

    fn with_pixel(mut picture: Picture, pixel: usize, red: u8) -> Picture {
        picture.rgba[pixel * CHANNELS] = red;
        picture
    }

    #[test]
    fn a_picture_comes_out_of_a_png_as_it_went_in() {
        let picture = with_pixel(plain(7, 5), 12, 200);
        let png = picture.to_png().expect("a PNG");
        assert_eq!(Picture::from_png(&png).expect("a picture"), picture);
    }

    #[test]
    fn what_is_tolerated_is_stated() {
        let approved = plain(100, 100);
        let differing = |actual: &Picture, tolerance| match approved.difference(actual, tolerance) {
            Some(Difference::Pixels { differing, of, shown }) => {
                assert_eq!(of, 10_000);
                assert_eq!(
                    shown.rgba.chunks_exact(CHANNELS).filter(|pixel| *pixel == RED).count(),
                    differing
                );
                differing
            }
            Some(other) => panic!("the sizes are equal: {other:?}"),
            None => 0,
        };
        let one = with_pixel(plain(100, 100), 4_711, 57);
        assert_eq!(differing(&approved, Tolerance::EXACT), 0);
        assert_eq!(differing(&one, Tolerance::EXACT), 1);
        assert_eq!(differing(&one, Tolerance { channel: 17, pixels_per_million: 0 }), 0);
        assert_eq!(differing(&one, Tolerance { channel: 16, pixels_per_million: 0 }), 1);
        assert_eq!(differing(&one, Tolerance { channel: 16, pixels_per_million: 100 }), 0);
        assert_eq!(differing(&one, Tolerance { channel: 16, pixels_per_million: 99 }), 1);
        let other_size =
            approved.difference(&plain(100, 101), Tolerance { channel: 255, pixels_per_million: 1_000_000 });
        assert_eq!(other_size, Some(Difference::Size { approved: (100, 100), actual: (100, 101) }));
    }

    #[test]
    fn a_gallery_approves_when_told_and_keeps_what_differs() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (approved, failures) = (directory.path().join("approved"), directory.path().join("failures"));
        let (strict, approving) =
            (Gallery::at(&approved, &failures, false), Gallery::at(&approved, &failures, true));
        let png = plain(10, 10).to_png().expect("a PNG");
        let other = with_pixel(plain(10, 10), 3, 200).to_png().expect("a PNG");
        let unknown = strict.check("page", &png).expect_err("nothing is approved");
        assert!(
            unknown.contains("no approved picture") && unknown.contains("SLIPWAY_APPROVE_PICTURES=1"),
            "{unknown}"
        );
        approving.check("page", &png).expect("approved");
        strict.check("page", &png).expect("the approved one");
        assert!(strict.is_approved("page", &png) && !strict.is_approved("page", &other));
        let differs = strict.check("page", &other).expect_err("one pixel of a hundred");
        assert!(differs.contains("1 of 100 pixels differ"), "{differs}");
        assert_eq!(fs::read(failures.join("page.actual.png")).expect("the actual picture"), other);
        let shown = fs::read(failures.join("page.difference.png")).expect("the difference");
        let shown = Picture::from_png(&shown).expect("a picture");
        assert_eq!(shown.rgba[3 * CHANNELS..4 * CHANNELS], RED);
        approving.check("page", &other).expect("approved anew");
        strict.check("page", &other).expect("the approved one");
    }
}
