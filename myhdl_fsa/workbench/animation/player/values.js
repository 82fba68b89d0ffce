// Bit patterns as numbers; values.py does the same for pictures.
const DIGITS = 3; // significant ones, of a number in a cell
const LEFT_OUT = "\u2026";

// The number that a pattern stands for; what is subnormal is zero, as the machine reads it.
function decode(hex, [exponentBits, mantissaBits]) {
  const bits = BigInt("0x" + hex);
  const field = (low, width) => Number((bits >> BigInt(low)) & ((1n << BigInt(width)) - 1n));
  const sign = field(exponentBits + mantissaBits, 1) ? -1 : 1;
  const exponent = field(mantissaBits, exponentBits);
  const mantissa = field(0, mantissaBits);
  if (exponent === 2 ** exponentBits - 1) return mantissa ? NaN : sign * Infinity;
  if (exponent === 0) return sign * 0;
  return sign * 2 ** (exponent - (2 ** (exponentBits - 1) - 1)) * (1 + mantissa / 2 ** mantissaBits);
}

// The number in so many significant digits.
function figures(value, digits) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "Inf" : "-Inf";
  const [mantissa, power] = Math.abs(value).toExponential(digits - 1).split("e");
  const exponent = Number(power);
  const kept = mantissa.replace(".", "").replace(/0+$/, "");
  const join = (whole, part) => (part ? `${whole}.${part}` : whole);
  let text;
  if (exponent >= 0 && exponent < 5) {
    const whole = kept.padEnd(exponent + 1, "0");
    text = join(whole.slice(0, exponent + 1), whole.slice(exponent + 1));
  } else if (exponent > -4 && exponent < 0) {
    text = "0." + "0".repeat(-exponent - 1) + kept;
  } else {
    text = `${join(kept[0], kept.slice(1))}e${exponent}`;
  }
  return (value < 0 ? "-" : "") + text;
}

// A format of the trace: [exponent bits, mantissa bits], or only a number of bits.
const isFloat = (format) => Array.isArray(format);
const short = (hex, format) => (isFloat(format) ? figures(decode(hex, format), DIGITS) : "0x" + hex);

// As many digits as tell every number of the format from its neighbours.
const exact = (hex, format) => figures(decode(hex, format), Math.ceil((format[1] + 1) * Math.log10(2)) + 1);

function formatName(format) {
  const known = { "5,10": "fp16", "8,7": "bf16", "8,23": "fp32", "8,10": "tf32", "4,3": "e4m3", "5,2": "e5m2" };
  return isFloat(format) ? known[format.join()] ?? `e${format[0]}m${format[1]}` : `${format} bits`;
}

// Sign, exponent and mantissa, apart.
function fields(hex, format) {
  const width = isFloat(format) ? 1 + format[0] + format[1] : format;
  const bits = BigInt("0x" + hex).toString(2).padStart(width, "0");
  return isFloat(format) ? [bits[0], bits.slice(1, 1 + format[0]), bits.slice(1 + format[0])].join(" ") : bits;
}

// A name in at most so many letters.
function shorten(name, most) {
  if (name.length > most) name = name.split(" ").map((word) => (/^[A-Za-z]+$/.test(word) ? word.slice(0, 3) : word)).join(" ");
  if (name.length > most) name = name.replaceAll(" ", "");
  return name.length <= most ? name : name.slice(0, most - 1) + LEFT_OUT;
}
