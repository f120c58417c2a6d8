// The script of a saved page of the explorer.

import { openPage } from "./open-page";
import { savedModel } from "./saved";

await openPage(savedModel);
