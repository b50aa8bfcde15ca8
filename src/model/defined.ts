/** Members that may be undefined become members that may be absent. */
type Defined<T> = {
  [Name in keyof T as undefined extends T[Name] ? never : Name]: T[Name];
} & {
  [Name in keyof T as undefined extends T[Name] ? Name : never]?: Exclude<T[Name], undefined>;
};

/** The members that are not undefined. */
export function defined<T extends object>(members: T): Defined<T> {
  const known = Object.entries(members).filter(([, value]) => value !== undefined);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(known) as Defined<T>;
}
