/** The columns of an update with their values. An absent member leaves its column alone. */
type Given<Set> = { [Column in keyof Set]?: Exclude<Set[Column], undefined> };

/** The columns that an update sets: its members without the undefined ones. */
export function given<Set extends object>(set: Set): Given<Set> {
  const members = Object.entries(set).filter(([, value]) => value !== undefined);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(members) as Given<Set>;
}
