/** That of package.json, which a test holds it to: an import of that file would put all of it into every bundle. */
export const VERSION = "0.1.0";
