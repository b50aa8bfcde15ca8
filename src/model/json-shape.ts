/**
 * How deep a JSON text nests and how many values it has, before it is parsed: both cost memory that
 * the length of the text does not show. Pure.
 */

export interface JsonShape {
  readonly depth: number;
  /** All values, lists and objects included. */
  readonly values: number;
}

/**
 * Counts until one of the limits is exceeded, and no further. Of a text that is not JSON it counts
 * what it can.
 */
export function jsonShape(text: string, max: JsonShape): JsonShape {
  let depth = 0;
  let deepest = 0;
  let values = 1;
  let inString = false;
  /** The list or object that was just opened may be empty. */
  let opened = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text[index];
    if (inString) {
      if (unit === "\\") index += 1;
      else if (unit === '"') inString = false;
      continue;
    }
    const closes = unit === "}" || unit === "]";
    if (unit === "," || (opened && !closes)) values += 1;
    opened = unit === "{" || unit === "[";
    if (unit === '"') inString = true;
    else if (closes) depth -= 1;
    else if (opened) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    }
    if (depth > max.depth || values > max.values) break;
  }
  return { depth: deepest, values };
}
