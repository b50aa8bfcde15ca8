/** How deep a JSON text goes and how many values it has, found out before it is parsed. Pure. */

export interface JsonShape {
  readonly depth: number;
  /** Of lists and objects, too. */
  readonly values: number;
}

/** Of a text that is not JSON, what it begins with. Looks no further than where one of them is exceeded. */
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
