/** The object without its undefined members: an absent member leaves a column alone. */
export function defined<T extends object>(
  members: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const given = Object.entries(members).filter(([, value]) => value !== undefined);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(given) as { [K in keyof T]: Exclude<T[K], undefined> };
}
